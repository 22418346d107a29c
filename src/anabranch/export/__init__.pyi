from .archive import ExportArchive as ExportArchive

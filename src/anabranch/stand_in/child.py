"""Installs the stand-in when it is imported, by a process that ``multiprocessing`` started."""

from anabranch.stand_in import install

install()

from . import saving as saving

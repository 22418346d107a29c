from .editing import clone_model as clone_model
from .model import Functional as Functional, Model as Model
from .registry import model_from_json as model_from_json
from .sequential import Sequential as Sequential

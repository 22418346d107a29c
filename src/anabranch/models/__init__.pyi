from .editing import clone_model as clone_model
from .model import Functional as Functional, Model as Model
from .registry import model_from_json as model_from_json
from .saved import load_model as load_model, save_model as save_model
from .sequential import Sequential as Sequential

// Compile the Python files of a folder with Pyodide's Python. Arguments: the npm package, the folder.
import { resolve } from "node:path";

const [modules, folder] = process.argv.slice(2);
const { loadPyodide } = await import(resolve(modules, "pyodide.mjs"));
const pyodide = await loadPyodide();
pyodide.FS.mkdirTree("/packages");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: resolve(folder) }, "/packages");
pyodide.runPython(`
import compileall, py_compile
compileall.compile_dir("/packages", quiet=2, legacy=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
`);

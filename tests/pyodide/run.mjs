// Run describe.py in Pyodide. Arguments: the folder of node_modules, and a folder with anabranch's dependencies other than torch and numpy.
import { resolve } from "node:path";

const [modules, dependencies] = process.argv.slice(2);
const { loadPyodide } = await import(resolve(modules, "pyodide", "pyodide.mjs"));
const pyodide = await loadPyodide();
for (const [place, folder] of [["/src", "src"], ["/dependencies", dependencies], ["/program", "tests/pyodide"]]) {
  pyodide.FS.mkdirTree(place);
  pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: resolve(folder) }, place);
}
pyodide.runPython(`
import runpy, sys
sys.path[:0] = ["/src", "/dependencies"]
print(sys.version.split()[0], sys.platform, file=sys.stderr)
runpy.run_path("/program/describe.py", run_name="__main__")
`);

// Runs Python beside the page: one script at a time, the newest that the page has sent.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const started = (async () => {
  const [pyodide, packages] = await Promise.all([
    loadPyodide({ indexURL: new URL("./pyodide/", import.meta.url).href }),
    fetch(new URL("./packages.zip", import.meta.url)).then((reply) => reply.arrayBuffer()),
  ]);
  pyodide.unpackArchive(packages, "zip", { extractDir: "/packages" });
  pyodide.runPython("import sys; sys.path.insert(0, '/packages'); import session; SESSION = session.start()");
  return pyodide.globals.get("SESSION");
})();

started.catch((error) => postMessage({ broken: String(error) }));

let waiting = null;

onmessage = async ({ data }) => {
  const session = await started;
  if (data.pin) session.pin();
  if (data.forget) session.forget();
  if (data.code === undefined) return;
  const first = waiting === null;
  waiting = data;
  if (!first) return; // the run that waits will take this one
  await new Promise((resume) => setTimeout(resume)); // let newer messages come in first
  const { code, version } = waiting;
  waiting = null;
  postMessage({ version, seen: session.run(code) });
};

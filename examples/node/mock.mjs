// The mock for a Node.js test suite: started once, and one test id for each test. `mock-server` must be in the PATH.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export const API_KEY = "sk-test-unlimited";

// Starts the mock on a free port. It ends with the pipe to its stdin, however this process ends.
export async function startMock(world = "instant") {
  const serve = ["serve", "--world", world, "--port", "0", "--stop-with-stdin"];
  const mock = spawn("mock-server", serve, { stdio: ["pipe", "pipe", "inherit"] });
  const started = await new Promise((resolve, reject) => {
    mock.once("error", (error) => {
      reject(error.code === "ENOENT" ? new Error("mock-server is not in the PATH: pip install it first") : error);
    });
    mock.once("exit", (code) => reject(new Error(`mock-server ended with exit code ${code}`)));
    createInterface({ input: mock.stdout }).once("line", resolve);
  });
  return { url: started.split(" ").at(-1), stop: () => mock.stdin.end() };
}

// What one test sees and steers of the mock.
export function forTest(url, testId) {
  const control = async (method, path, body) => {
    const response = await fetch(`${url}/__mock__/${path}`, {
      method,
      headers: { "X-Mock-Test": testId, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const said = await response.json();
    if (!response.ok) throw new Error(said.error.message);
    return said;
  };
  return {
    baseUrl: `${url}/__test__/${testId}/v1`,
    failNext: (rule) => control("POST", "faults", { times: 1, ...rule }),
    canned: (text) => control("POST", "answers", { replies: [{ text }] }),
    count: async (filter = "") => (await control("GET", `requests/count${filter}`)).count,
    verdict: () => control("GET", "verdict"),
  };
}

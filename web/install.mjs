// Puts the packages of package-lock.json into node_modules, unless exactly these are there. Set-up
// (tools/setup.sh) leaves the same stamp, so a build after it needs no network.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const stamp = join(here, "node_modules", ".moescope-lock");
const wanted = createHash("sha256").update(readFileSync(join(here, "package-lock.json"))).digest("hex");

if (!existsSync(stamp) || !readFileSync(stamp, "utf8").startsWith(wanted)) {
  console.log("installing the npm packages of web/package-lock.json into web/node_modules");
  const path = `${process.env.PATH}:${dirname(process.execPath)}`;
  const { status, error } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
    { cwd: here, stdio: "inherit", env: { ...process.env, PATH: path } });
  if (error || status !== 0) {
    console.error(`npm ci failed in web/${error ? `: ${error.message}` : ""}; run './dev setup' once with the network at hand`);
    process.exit(1);
  }
  writeFileSync(stamp, `${wanted}  -\n`);
}

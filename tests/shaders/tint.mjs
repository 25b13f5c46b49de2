// node tint.mjs FOLDER < kernels.json: compiles WGSL with Tint, as Chromium does, and makes pipelines without a GPU. Prints what is wrong,
// or the number of kernels. FOLDER has the package `webgpu`, Dawn for Node.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { create, globals } = await import(createRequire(`${process.argv[2]}/`).resolve('webgpu'));
Object.assign(globalThis, globals);
// Kept by a name: Dawn ends with it.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
const limits = ['maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX'];
const device = await adapter.requestDevice({
  requiredFeatures: ['shader-f16', 'subgroups'],
  requiredLimits: Object.fromEntries(limits.map((name) => [name, adapter.limits[name]])),
});

// What Tint and Dawn say of a kernel.
async function wrong({ wgsl, constants }) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: wgsl });
  const { messages } = await module.getCompilationInfo();
  const compute = { module, entryPoint: 'main', constants };
  device.createComputePipeline({ layout: 'auto', compute });
  const refused = await device.popErrorScope();
  return [...messages.map(({ type, lineNum, message }) => `${type}, line ${lineNum}: ${message}`), ...(refused ? [refused.message] : [])];
}

const kernels = JSON.parse(readFileSync(0, 'utf8'));
let failed = false;
for (const kernel of kernels) {
  for (const message of await wrong(kernel)) {
    console.log(`${kernel.name}: ${message}`);
    failed = true;
  }
}
// It must be able to say no.
const broken = { wgsl: '@compute @workgroup_size(1) fn main() { let a: u32 = 1.5; }', constants: {} };
if ((await wrong(broken)).length === 0) {
  console.log('Tint takes what is no WGSL');
  failed = true;
}
if (!failed) {
  console.log(`${kernels.length} kernels`);
}
process.exit(gpu && failed ? 1 : 0);

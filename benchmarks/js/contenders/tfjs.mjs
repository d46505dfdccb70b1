// TensorFlow.js: a fused operation for each step of the lowered graph, on its wasm or its plain
// JavaScript backend. Intermediate tensors are disposed of by tf.tidy.
const DIST = "/node_modules/@tensorflow";

function script(path) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = path;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`cannot load ${path}`));
    document.head.append(element);
  });
}

async function start(backend) {
  await script(`${DIST}/tfjs-core/dist/tf-core.es2017.min.js`);
  await script(`${DIST}/tfjs-backend-${backend}/dist/tf-backend-${backend}.es2017.min.js`);
  const { tf } = globalThis;
  if (backend === "wasm") {
    tf.wasm.setWasmPaths(`${DIST}/tfjs-backend-wasm/dist/`);
    tf.wasm.setThreadsCount(1);
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  }
  await tf.setBackend(backend);
  await tf.ready();
  return tf;
}

const STEPS = {
  conv2d: (tf, t, w, s) => tf.fused.conv2d({ ...given(t, w, s), strides: s.strides, pad: s.pad, dilations: s.dilations }),
  depthwiseConv2d: (tf, t, w, s) =>
    tf.fused.depthwiseConv2d({ ...given(t, w, s), strides: s.strides, pad: s.pad, dilations: s.dilations }),
  matMul: (tf, t, w, s) => tf.fused.matMul({ a: t[s.x], b: w[s.w], bias: w[s.b], activation: s.activation }),
  add: (tf, t, w, s) => activate(tf, tf.add(t[s.x], t[s.y]), s.activation),
  mean: (tf, t, w, s) => tf.mean(t[s.x], [1, 2], true),
  maxPool: (tf, t, w, s) => tf.maxPool(t[s.x], s.filterSize, s.strides, s.pad),
  softmax: (tf, t, w, s) => tf.softmax(t[s.x]),
  reshape: (tf, t, w, s) => tf.reshape(t[s.x], s.shape),
  transpose: (tf, t, w, s) => tf.transpose(t[s.x], s.perm),
};

function given(tensors, weights, step) {
  return { x: tensors[step.x], filter: weights[step.w], bias: weights[step.b], activation: step.activation };
}

function activate(tf, tensor, name) {
  return name === "linear" ? tensor : tf[name](tensor);
}

let loading;

export async function open({ read, files, input, shape, flavour }) {
  const tf = await (loading ??= start(flavour));
  const program = JSON.parse(new TextDecoder().decode(await read(files.model)));
  const bytes = await read(files.model.replace(/json$/, "bin"));
  let offset = 0;
  const weights = program.constants.map((sizes) => {
    const count = sizes.reduce((product, size) => product * size, 1);
    const values = new Float32Array(bytes, offset, count);
    offset += 4 * count;
    return tf.tensor(values, sizes);
  });
  const x = tf.tensor(input, shape);
  return {
    run() {
      const y = tf.tidy(() => {
        const tensors = { [program.input]: x };
        for (const step of program.steps) {
          tensors[step.out] = STEPS[step.op](tf, tensors, weights, step);
        }
        return tensors[program.output];
      });
      const values = y.dataSync();
      y.dispose();
      return values;
    },
  };
}

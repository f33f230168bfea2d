// Starts the component package, as provider/start.cjs starts the provider.
require("../provider/startPlugin.cjs")("talos-iscsi", __dirname, () => import("./index.ts"));

import { readFlag, readObject, readText, readTexts, requireText } from "../read.ts";
import type { Properties } from "../values.ts";
import type { FactoryClient } from "./factoryClient.ts";
import type { FunctionHandler } from "./handler.ts";

interface ExtensionInfo extends Properties {
  name: string;
}

/** The functions of the provider's module `imageFactory`. */
export function factoryFunctions(factory: () => FactoryClient): Record<string, FunctionHandler> {
  return {
    async getVersions({ args, signal }) {
      const versions = await factory().get<string[]>("/versions", signal);
      const stableOnly = readFlag(readObject(args, "filters") ?? {}, "stableVersionsOnly") ?? false;
      const talosVersions = stableOnly ? versions.filter((version) => !version.includes("-")) : versions;
      return { result: { ...args, id: "talos_versions", talosVersions } };
    },

    async getExtensionsVersions({ args, signal }) {
      const path = `/version/${requireText(args, "talosVersion")}/extensions/official`;
      const all = await factory().get<ExtensionInfo[]>(path, signal);
      const exact = readTexts(readObject(args, "exactFilters") ?? {}, "names");
      const parts = readTexts(readObject(args, "filters") ?? {}, "names");
      const wanted = ({ name }: ExtensionInfo) =>
        exact.includes(name) || parts.some((part) => name.includes(part));
      const extensionsInfos = exact.length + parts.length > 0 ? all.filter(wanted) : all;
      return { result: { ...args, id: "extensions_info", extensionsInfos } };
    },

    async getOverlaysVersions({ args, signal }) {
      const path = `/version/${requireText(args, "talosVersion")}/overlays/official`;
      const all = await factory().get<ExtensionInfo[]>(path, signal);
      const part = readText(readObject(args, "filters") ?? {}, "name") ?? "";
      return {
        result: {
          ...args,
          id: "overlays_info",
          overlaysInfos: all.filter(({ name }) => name.includes(part)),
        },
      };
    },

    async getUrls({ args }) {
      const architecture = readText(args, "architecture") ?? "amd64";
      return { result: { ...args, architecture, id: "", urls: urls(factory(), args, architecture) } };
    },
  };
}

/** URLs of a schematic's assets. The stand-in only knows which assets exist for metal and for single-board computers. */
function urls(factory: FactoryClient, args: Properties, architecture: string): Properties {
  const id = requireText(args, "schematicId");
  const version = `v${requireText(args, "talosVersion").replace(/^v/, "")}`;
  const platform = readText(args, "platform");
  const { host, protocol } = factory.url;
  const image = (file: string) => `${factory.base}/image/${id}/${version}/${file}`;
  const installer = (kind: string) => `${host}/metal-${kind}/${id}:${version}`;

  if (platform === undefined && readText(args, "sbc") !== undefined) {
    return { ...NO_URLS, installer: installer("installer"), diskImage: image("metal-arm64.raw.xz") };
  }
  if (platform !== "metal") {
    throw new Error(
      `platform: the stand-in of the talos plugin knows metal only, not ${JSON.stringify(platform ?? "")}`,
    );
  }
  return {
    installer: installer("installer"),
    installerSecureboot: installer("installer-secureboot"),
    iso: image(`metal-${architecture}.iso`),
    isoSecureboot: image(`metal-${architecture}-secureboot.iso`),
    diskImage: image(`metal-${architecture}.raw.zst`),
    diskImageSecureboot: image(`metal-${architecture}-secureboot.raw.zst`),
    pxe: `${protocol}//pxe.${host}/pxe/${id}/${version}/metal-${architecture}`,
    kernel: image(`kernel-${architecture}`),
    kernelCommandLine: image(`cmdline-metal-${architecture}`),
    initramfs: image(`initramfs-${architecture}.xz`),
    uki: image(`metal-${architecture}-secureboot-uki.efi`),
  };
}

const NO_URLS: Properties = {
  ...{
    installer: "",
    installerSecureboot: "",
    iso: "",
    isoSecureboot: "",
    diskImage: "",
    diskImageSecureboot: "",
  },
  ...{ pxe: "", kernel: "", kernelCommandLine: "", initramfs: "", uki: "" },
};

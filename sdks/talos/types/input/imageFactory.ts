import type * as pulumi from "@pulumi/pulumi";

/** Keeps the extensions with exactly these names. */
export interface GetExtensionsVersionsExactFilters {
  /** Full names, for example `siderolabs/iscsi-tools`. */
  names?: string[];
}

/** {@link GetExtensionsVersionsExactFilters} whose fields may be outputs of other resources. */
export interface GetExtensionsVersionsExactFiltersArgs {
  /** Full names, for example `siderolabs/iscsi-tools`. */
  names?: pulumi.Input<pulumi.Input<string>[] | undefined>;
}

/** Keeps the extensions whose names contain one of these. */
export interface GetExtensionsVersionsFilters {
  /** Parts of names, for example `iscsi`. */
  names?: string[];
}

/** {@link GetExtensionsVersionsFilters} whose fields may be outputs of other resources. */
export interface GetExtensionsVersionsFiltersArgs {
  /** Parts of names, for example `iscsi`. */
  names?: pulumi.Input<pulumi.Input<string>[] | undefined>;
}

/** Keeps the overlays whose names contain this. */
export interface GetOverlaysVersionsFilters {
  /** Part of a name, for example `rpi`. */
  name?: string;
}

/** {@link GetOverlaysVersionsFilters} whose fields may be outputs of other resources. */
export interface GetOverlaysVersionsFiltersArgs {
  /** Part of a name, for example `rpi`. */
  name?: pulumi.Input<string | undefined>;
}

/** Which Talos versions to list. */
export interface GetVersionsFilters {
  /** Leave out alpha, beta and rc versions. */
  stableVersionsOnly?: boolean;
}

/** {@link GetVersionsFilters} whose fields may be outputs of other resources. */
export interface GetVersionsFiltersArgs {
  /** Leave out alpha, beta and rc versions. */
  stableVersionsOnly?: pulumi.Input<boolean | undefined>;
}

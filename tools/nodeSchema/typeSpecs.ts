import ts from "typescript";
import {
  anyType,
  withChoices,
  type ObjectSpec,
  type PropertySpec,
  type TypeSpec,
} from "../../provider/packageSpec.ts";

/** Types whose names would collide with another type of the packages once `Args` is removed. */
const renamedTypes: Record<string, string> = {
  EtcdSnapshotArgs: "EtcdSnapshotSettings",
  UpgradeWindow: "RolloutWindow",
};

/** Utility types. Their result is named after the place where it is used. */
const utilities = ["Omit", "Partial", "Pick"];

/** Converts TypeScript types to Pulumi schema types. The declarations and their doc comments are the only source. */
export class TypeSpecs {
  readonly types: Record<string, ObjectSpec> = {};
  readonly #checker: ts.TypeChecker;
  readonly #package: string;
  /** The name of each type in the schema. */
  readonly #tokens = new Map<ts.Type, string>();

  constructor(checker: ts.TypeChecker, packageName: string) {
    this.#checker = checker;
    this.#package = packageName;
  }

  /** @param owner prefix for the names of anonymous types */
  objectOf(properties: readonly ts.Symbol[], owner: string): Omit<ObjectSpec, "type" | "description"> {
    const sorted = properties.map((property) => [property.name, this.#property(property, owner)] as const);
    const required = sorted.flatMap(([name, { isRequired }]) => (isRequired ? [name] : []));
    return {
      properties: Object.fromEntries(sorted.map(([name, { spec }]) => [name, spec])),
      ...(required.length === 0 ? {} : { required }),
    };
  }

  /** The text of a doc comment as one paragraph. */
  description(symbol: ts.Symbol | undefined): string {
    const text = ts.displayPartsToString(symbol?.getDocumentationComment(this.#checker));
    return text.replace(/\s*\n\s*/g, " ").trim();
  }

  #property(property: ts.Symbol, owner: string): { spec: PropertySpec; isRequired: boolean } {
    const type = this.#checker.getTypeOfSymbol(property);
    const plain = this.#withoutWrapping(type);
    const members = plain.isUnion() ? plain.types : [plain];
    const choices = members.flatMap((member) => (member.isStringLiteral() ? [member.value] : []));
    const description = withChoices(
      this.description(property),
      choices.length === members.length && choices.length > 1 ? choices : [],
    );
    return {
      spec: {
        ...this.#specOf(plain, owner, capitalize(property.name)),
        ...(description === "" ? {} : { description }),
        ...(/\bAlways (a )?secret\b/.test(description) ? { secret: true } : {}),
      },
      isRequired: (property.flags & ts.SymbolFlags.Optional) === 0 && !this.#mayBeUndefined(type),
    };
  }

  /** Whether the type is undefined, or an Output of undefined. */
  #mayBeUndefined(type: ts.Type): boolean {
    if ((type.flags & ts.TypeFlags.Undefined) !== 0) return true;
    if (type.isUnion()) return type.types.some((member) => this.#mayBeUndefined(member));
    const inner = this.#inner(type);
    return inner !== undefined && this.#mayBeUndefined(inner);
  }

  /** The type without Input, Output, Promise and undefined. */
  #withoutWrapping(type: ts.Type): ts.Type {
    const inner = this.#inner(type);
    if (inner !== undefined) return this.#withoutWrapping(inner);
    if (!type.isUnion()) return type;
    const plain = type.types.filter(
      (member) => (member.flags & ts.TypeFlags.Undefined) === 0 && this.#inner(member) === undefined,
    );
    // Nothing but an optional Output.
    if (plain.length === 0) {
      const [first] = type.types.filter((member) => this.#inner(member) !== undefined);
      return first === undefined ? type : this.#withoutWrapping(first);
    }
    if (plain.length === type.types.length) return type;
    return plain.length === 1 && plain[0] !== undefined
      ? plain[0]
      : ({ ...type, types: plain, isUnion: () => true } as unknown as ts.Type);
  }

  /** The type argument of an Input, Output or Promise. */
  #inner(type: ts.Type): ts.Type | undefined {
    if (["Input", "Output"].includes(type.aliasSymbol?.name ?? "")) return type.aliasTypeArguments?.[0];
    const members = type.isIntersection() ? type.types : [type];
    const wrapper = members.find((member) => ["OutputInstance", "Promise"].includes(member.symbol?.name));
    return wrapper === undefined ? undefined : this.#checker.getTypeArguments(wrapper as ts.TypeReference)[0];
  }

  #specOf(type: ts.Type, owner: string, name: string): TypeSpec {
    const { flags } = type;
    if ((flags & ts.TypeFlags.StringLike) !== 0) return { type: "string" };
    if ((flags & ts.TypeFlags.NumberLike) !== 0) return { type: "number" };
    if ((flags & ts.TypeFlags.BooleanLike) !== 0) return { type: "boolean" };
    if (type.isUnion()) return this.#unionOf(type.types, owner, name);
    if ((flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) !== 0) return anyType;
    const [item] = this.#checker.isArrayLikeType(type)
      ? this.#checker.getTypeArguments(type as ts.TypeReference)
      : [];
    if (item !== undefined)
      return { type: "array", items: this.#specOf(this.#withoutWrapping(item), owner, singular(name)) };
    const properties = this.#checker.getPropertiesOfType(type);
    const values = this.#checker.getIndexInfoOfType(type, ts.IndexKind.String)?.type;
    if (properties.length > 0) return this.#reference(type, properties, owner + name);
    if (values === undefined) throw new Error(`${owner}${name}: ${this.#checker.typeToString(type)}`);
    const inner = this.#specOf(this.#withoutWrapping(values), owner, singular(name));
    return { type: "object", additionalProperties: inner };
  }

  /** A union of string literals becomes a string. A union of objects becomes the any type, since not every language can express it. */
  #unionOf(members: readonly ts.Type[], owner: string, name: string): TypeSpec {
    const object = ts.TypeFlags.Object | ts.TypeFlags.Intersection;
    const specs = members.map((member) =>
      (member.flags & object) === 0 ? this.#specOf(member, owner, name) : anyType,
    );
    const distinct = [...new Map(specs.map((spec) => [JSON.stringify(spec), spec])).values()];
    const [only] = distinct;
    if (distinct.length === 1 && only !== undefined) return only;
    return distinct.every(({ type }) => type !== undefined) ? { oneOf: distinct } : anyType;
  }

  #reference(type: ts.Type, properties: readonly ts.Symbol[], place: string): TypeSpec {
    const known = this.#tokens.get(type);
    if (known !== undefined) return { $ref: `#/types/${known}` };
    const symbol = [type.aliasSymbol, type.symbol].find(
      (found) => found !== undefined && !found.name.startsWith("__") && !utilities.includes(found.name),
    );
    const name =
      symbol === undefined ? place : (renamedTypes[symbol.name] ?? symbol.name.replace(/Args$/, ""));
    const token = `${this.#package}:index:${name}`;
    this.#tokens.set(type, token);
    const described = this.description(symbol);
    const spec: ObjectSpec = {
      type: "object",
      ...(described === "" ? {} : { description: described }),
      ...this.objectOf(properties, name),
    };
    const before = this.types[token];
    if (before !== undefined && Object.keys(before.properties).join() !== Object.keys(spec.properties).join())
      throw new Error(`${token} would be two types`);
    this.types[token] ??= spec;
    return { $ref: `#/types/${token}` };
  }
}

function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function singular(name: string): string {
  return name.endsWith("s") && !name.endsWith("ss") ? name.slice(0, -1) : name;
}

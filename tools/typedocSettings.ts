import { Comment, Converter, type Application } from "typedoc";
import ts from "typescript";

/**
 * A TypeDoc plugin for the API reference. A setting is documented only once, in its schema (`.describe("…")`). The plugin copies that text to the
 * types inferred from the schema, as their comment.
 */
export function load(app: Application): void {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.comment !== undefined) return;
    const description = context
      .getSymbolFromReflection(reflection)
      ?.declarations?.map(descriptionOf)
      .find((text) => text !== undefined);
    if (description !== undefined)
      reflection.comment = new Comment(Comment.cloneDisplayParts([{ kind: "text", text: description }]));
  });
}

/** The text in `key: z.string()….describe("…")`, anywhere in the chain. */
function descriptionOf(declaration: ts.Declaration): string | undefined {
  if (!ts.isPropertyAssignment(declaration) && !ts.isShorthandPropertyAssignment(declaration))
    return undefined;
  let call: ts.Node = ts.isPropertyAssignment(declaration) ? declaration.initializer : declaration.name;
  while (ts.isCallExpression(call) && ts.isPropertyAccessExpression(call.expression)) {
    const [text] = call.arguments;
    if (call.expression.name.text === "describe" && text !== undefined && ts.isStringLiteralLike(text))
      return text.text;
    call = call.expression.expression;
  }
  return undefined;
}

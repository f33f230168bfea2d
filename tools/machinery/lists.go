package machinery

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config/merge"
)

// ownMerge determines how a type with its own merge method is merged.
func (w *walker) ownMerge(t reflect.Type) Definition {
	switch t.Kind() { //nolint:exhaustive
	case reflect.Map:
		return w.ownMap(t)
	case reflect.Slice:
		return Definition{List: w.ref(t.Elem()), Items: w.ownList(t)}
	default:
		panic(fmt.Sprintf("%v: merges itself in a way that is not known here", t))
	}
}

func (w *walker) ownMap(t reflect.Type) Definition {
	elem := w.ref(t.Elem())
	if got := mergedText(t, `{a: "1", b: "2"}`, `{b: "3", c: ""}`); got != textOf(t, `{a: "1", b: "3", c: ""}`) {
		panic(fmt.Sprintf("%v: merges to %s", t, got))
	}

	if got := mergedText(t, `{a: "1"}`, `{a: ""}`); got != textOf(t, `{a: ""}`) {
		panic(fmt.Sprintf("%v: an empty text gives %s", t, got))
	}

	return Definition{Map: elem}
}

func (w *walker) ownList(t reflect.Type) *ItemsRule {
	item := t.Elem()
	for item.Kind() == reflect.Pointer {
		item = item.Elem()
	}

	def := w.types[w.ref(item)]
	if def.Fields == nil {
		panic(fmt.Sprintf("%v: its items are no structs", t))
	}

	// Two different texts for each field.
	values := map[string][2]string{}

	var order []string

	for i, name := range def.Fields.names {
		if pair, ok := w.pairOf(strings.Fields(def.Fields.specs[i])[0]); ok {
			values[name] = pair
			order = append(order, name)
		}
	}

	var keys, others []string

	for _, name := range order {
		same := count(t, "{%s: %s}", "{%s: %s}", name, values[name][0], values[name][0])
		different := count(t, "{%s: %s}", "{%s: %s}", name, values[name][0], values[name][1])

		if same == 1 && different == 2 {
			keys = append(keys, name)
		} else {
			others = append(others, name)
		}
	}

	if len(keys) == 0 || len(others) == 0 {
		panic(fmt.Sprintf("%v: nothing tells its items apart", t))
	}

	rule := &ItemsRule{}

	// The most significant key comes first: if it differs, the items differ even if another key is equal.
	slices.SortStableFunc(keys, func(a, b string) int {
		left := fmt.Sprintf("[{%s: %s, %s: %s}]", a, values[a][0], b, values[b][0])
		if lengthOf(t, left, fmt.Sprintf("[{%s: %s, %s: %s}]", a, values[a][1], b, values[b][0])) == 2 {
			return -1
		}

		return 1
	})
	rule.By = keys
	key := keys[0]
	value := values[key]

	// Fields of the key's value that make it unequal to everything.
	for i, name := range def.Fields.names {
		if !slices.Contains(keys, name) {
			continue
		}

		inner := w.types[strings.TrimLeft(strings.Fields(def.Fields.specs[i])[0], "*")]
		if inner.Fields == nil {
			continue
		}

		for j, innerName := range inner.Fields.names {
			pair, ok := w.pairOf(strings.Fields(inner.Fields.specs[j])[0])
			if !ok {
				continue
			}

			text := fmt.Sprintf("[{%s: {%s: %s}}]", name, innerName, pair[0])
			if lengthOf(t, text, text) == 2 {
				if rule.Never == nil {
					rule.Never = map[string][]string{}
				}

				rule.Never[name] = append(rule.Never[name], innerName)
			}
		}
	}

	other := others[len(others)-1]
	first, second := values[other][0], values[other][1]
	rule.Empty = lengthOf(t, fmt.Sprintf("[{%s: %s}]", other, first), fmt.Sprintf("[{%s: %s}]", other, second)) == 1
	rule.Own = lengthOf(t, "[]", fmt.Sprintf("[{%s: %s}, {%s: %s}]", key, value[0], key, value[0])) == 1

	// Check whether a field that only the left side has survives.
	switch mergedText(t, fmt.Sprintf("[{%s: %s, %s: %s}]", key, value[0], other, first), fmt.Sprintf("[{%s: %s}]", key, value[0])) {
	case textOf(t, fmt.Sprintf("[{%s: %s, %s: %s}]", key, value[0], other, first)):
		rule.Then = "merge"
	case textOf(t, fmt.Sprintf("[{%s: %s}]", key, value[0])):
		rule.Then = "replace"
	default:
		panic(fmt.Sprintf("%v: its items are merged in a way that is not known here", t))
	}

	twice := fmt.Sprintf("[{%s: %s}, {%s: %s}]", key, value[0], key, value[0])
	got := mergedText(t, twice, fmt.Sprintf("[{%s: %s, %s: %s}]", key, value[0], other, first))
	rule.Last = got == textOf(t, fmt.Sprintf("[{%s: %s}, {%s: %s, %s: %s}]", key, value[0], key, value[0], other, first))

	if !rule.Last && got != textOf(t, fmt.Sprintf("[{%s: %s, %s: %s}, {%s: %s}]", key, value[0], other, first, key, value[0])) {
		panic(fmt.Sprintf("%v: which of two items is meant is not known here", t))
	}

	return rule
}

// pairOf returns two texts for a field of a simple kind.
func (w *walker) pairOf(ref string) ([2]string, bool) {
	ref = strings.TrimPrefix(ref, "*")

	switch ref {
	case "string":
		return [2]string{"a", "b"}, true
	case "int":
		return [2]string{"1", "2"}, true
	case "bool":
		return [2]string{"true", "false"}, true
	case "[]string":
		return [2]string{"[a]", "[b]"}, true
	}

	if def := w.types[ref]; def.Fields != nil {
		for i, name := range def.Fields.names {
			if def.Fields.specs[i] == "string" || strings.HasPrefix(def.Fields.specs[i], "string ") {
				return [2]string{fmt.Sprintf("{%s: a}", name), fmt.Sprintf("{%s: b}", name)}, true
			}
		}
	}

	if def := w.types[ref]; def.Inline == "any" {
		return [2]string{"{x: a}", "{x: b}"}, true
	}

	return [2]string{}, false
}

func count(t reflect.Type, left, right, name, a, b string) int {
	return lengthOf(t, "["+fmt.Sprintf(left, name, a)+"]", "["+fmt.Sprintf(right, name, b)+"]")
}

func lengthOf(t reflect.Type, left, right string) int {
	return mergedValue(t, left, right).Len()
}

func mergedValue(t reflect.Type, left, right string) reflect.Value {
	a, err := read(t, left)
	if err == nil {
		var b reflect.Value

		if b, err = read(t, right); err == nil {
			err = merge.Merge(a.Addr().Interface(), b.Addr().Interface())
		}
	}

	if err != nil {
		panic(fmt.Sprintf("%v: %s and %s: %v", t, left, right, err))
	}

	return a
}

func mergedText(t reflect.Type, left, right string) string {
	return written(mergedValue(t, left, right))
}

func textOf(t reflect.Type, text string) string {
	value, err := read(t, text)
	if err != nil {
		panic(fmt.Sprintf("%v: %s: %v", t, text, err))
	}

	return written(value)
}

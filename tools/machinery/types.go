// Package machinery reports how the version of Talos's machinery that it is built with merges the configuration's types, and performs merges to judge
// another implementation. Two modules use it, one per release line: tools/machinery113 and tools/machinery114.
package machinery

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Table is everything that the merge in TypeScript needs to know about one release line.
//
// A type is written as a reference: bool, string, int, float, any (what YAML makes of it), duration, "*T" (a pointer), "[]T", "{}T" (a map), or the
// name of a definition.
type Table struct {
	Machinery string                `json:"machinery"`
	Documents map[string]Document   `json:"documents"`
	Types     map[string]Definition `json:"types"`
	// Samples are example texts of each leaf, from which tests draw values.
	Samples map[string][]string `json:"samples"`
}

// Definition has one of Fields, List, Map and Leaf.
type Definition struct {
	// Fields of a struct in order, by their YAML name: the reference, then "replace" (the field is replaced instead of merged), "omitempty" (omitted
	// from the text if empty), "omitnil" (omitted if nil) and "inline" (from an embedded struct).
	Fields *Fields `json:"fields,omitempty"`
	// Inline is the reference of a map that receives all keys, in a struct with no other fields.
	Inline string `json:"inline,omitempty"`

	List  string     `json:"list,omitempty"`
	Items *ItemsRule `json:"items,omitempty"`

	// Map is merged by taking the right side's values unchanged.
	Map string `json:"map,omitempty"`

	Leaf *Leaf `json:"leaf,omitempty"`
}

// Fields keep their order in JSON.
type Fields struct {
	names []string
	specs []string
}

// MarshalJSON implements json.Marshaler.
func (f *Fields) MarshalJSON() ([]byte, error) {
	parts := make([]string, len(f.names))
	for i, name := range f.names {
		parts[i] = fmt.Sprintf("%q:%q", name, f.specs[i])
	}

	return []byte("{" + strings.Join(parts, ",") + "}"), nil
}

// ItemsRule describes how a list type with its own rule is merged.
type ItemsRule struct {
	// By are the fields that identify an item. The first one that is set counts.
	By []string `json:"by"`
	// Never are nested fields whose values never equal others, by the field of By that contains them.
	Never map[string][]string `json:"never,omitempty"`
	// Empty reports whether items without the field count as the same item.
	Empty bool `json:"empty,omitempty"`
	// Then is what happens to an existing item: merge or replace.
	Then string `json:"then"`
	// Last reports whether the last of several matches counts, rather than the first.
	Last bool `json:"last,omitempty"`
	// Own reports whether an item is also matched against items added by the same patch.
	Own bool `json:"own,omitempty"`
}

// Leaf is a value that is written as a scalar, or has its own rule for reading.
type Leaf struct {
	// Merge is set (unless zero), always (even zero), once (refused if a value is already set, or the text has one), never (refused), url (part by
	// part) or size (set, but a percentage does not replace bytes).
	Merge string `json:"merge"`
	// Zero are the texts, besides the empty one, that mean that nothing is set.
	Zero []string `json:"zero,omitempty"`
	// Fold reports whether those texts may be in upper case.
	Fold bool `json:"fold,omitempty"`
	// Number reports that Talos writes it as a number.
	Number bool `json:"number,omitempty"`
	// Selects reports that a delete selector can find an item by the text of this field.
	Selects bool `json:"selects,omitempty"`
	// Octal reports that the selector uses octal digits.
	Octal bool `json:"octal,omitempty"`
	// Empty reports that an empty text is also a value.
	Empty bool `json:"empty,omitempty"`
	// Basic reports that it is a plain number or string in Go: in a pointer, zero is a value.
	Basic bool `json:"basic,omitempty"`
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	nodeUnmarshaler = reflect.TypeFor[yaml.Unmarshaler]()
	funcUnmarshaler = reflect.TypeFor[interface{ UnmarshalYAML(func(any) error) error }]()
	merger          = reflect.TypeFor[interface{ Merge(any) error }]()
	stringer        = reflect.TypeFor[fmt.Stringer]()
)

type walker struct {
	types   map[string]Definition
	samples map[string][]string
	// seen are the types behind the names.
	seen map[string]reflect.Type
	// lacking lists leaves without examples.
	lacking []string
}

// Rules derives the table from the machinery's types.
func Rules(version string) Table {
	w := &walker{types: map[string]Definition{}, samples: map[string][]string{}, seen: map[string]reflect.Type{}}
	documents := w.documents()

	if len(w.lacking) > 0 {
		panic(fmt.Sprintf("need examples: %q", w.lacking))
	}

	return Table{Machinery: version, Documents: documents, Types: w.types, Samples: w.samples}
}

func (w *walker) ref(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Pointer:
		return "*" + w.ref(t.Elem())
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		return "any"
	case isLeaf(t), reflect.PointerTo(t).Implements(merger), t.Kind() == reflect.Struct:
		return w.named(t)
	}

	switch t.Kind() { //nolint:exhaustive
	case reflect.Bool:
		return "bool"
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice:
		return "[]" + w.ref(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic(fmt.Sprintf("%v: a map whose keys are no strings", t))
		}

		return "{}" + w.ref(t.Elem())
	default:
		panic(fmt.Sprintf("%v: a kind that has no rule here", t))
	}
}

// isLeaf reports whether the type reads its value from a scalar with its own method, or is binary.
func isLeaf(t reflect.Type) bool {
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		return false // read item by item, whatever else the method does
	}

	if t.Kind() == reflect.Slice {
		return true
	}

	p := reflect.PointerTo(t)

	return p.Implements(textUnmarshaler) || p.Implements(nodeUnmarshaler) || p.Implements(funcUnmarshaler) ||
		(t.Kind() != reflect.Struct && t.Implements(stringer) && t.Kind() != reflect.Map && t.Kind() != reflect.Slice)
}

func (w *walker) named(t reflect.Type) string {
	name := nameOf(t)

	if seen, ok := w.seen[name]; ok {
		if seen != t {
			panic(fmt.Sprintf("two types are called %s", name))
		}

		return name
	}

	w.seen[name] = t

	switch {
	case isLeaf(t):
		w.types[name] = Definition{Leaf: w.leaf(t)}
	case reflect.PointerTo(t).Implements(merger):
		w.types[name] = w.ownMerge(t)
	default:
		w.types[name] = w.structure(t)
	}

	return name
}

func nameOf(t reflect.Type) string {
	if t.Name() == "" {
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}

		panic(fmt.Sprintf("%v: a type without a name", t))
	}

	path := strings.Split(t.PkgPath(), "/")

	return path[len(path)-1] + "." + t.Name()
}

// keepsEmpty reports whether an empty list of the type says it is not zero.
func keepsEmpty(t reflect.Type) bool {
	if t.Kind() != reflect.Slice {
		return false
	}

	zeroer, ok := reflect.MakeSlice(t, 0, 0).Interface().(yaml.IsZeroer)

	return ok && !zeroer.IsZero()
}

func (w *walker) structure(t reflect.Type) Definition {
	result := Definition{Fields: &Fields{}}
	w.addFields(t, &result, "")

	return result
}

func (w *walker) addFields(t reflect.Type, to *Definition, flag string) {
	for i := range t.NumField() {
		field := t.Field(i)
		tags := strings.Split(field.Tag.Get("yaml"), ",")

		if tags[0] == "-" {
			continue
		}

		if !field.IsExported() {
			panic(fmt.Sprintf("%v.%s: a hidden field in a type that has no text of its own", t, field.Name))
		}

		replace := slices.Contains(strings.Split(field.Tag.Get("merge"), ","), "replace")

		if slices.Contains(tags[1:], "inline") {
			switch field.Type.Kind() { //nolint:exhaustive
			case reflect.Map:
				if t.NumField() != 1 || replace {
					panic(fmt.Sprintf("%v.%s: a map beside other fields", t, field.Name))
				}

				to.Inline = w.ref(field.Type.Elem())
				to.Fields = nil
			case reflect.Struct:
				w.addFields(field.Type, to, " inline")
			default:
				panic(fmt.Sprintf("%v.%s: cannot be inline", t, field.Name))
			}

			continue
		}

		if tags[0] == "" {
			panic(fmt.Sprintf("%v.%s: has no name in the text", t, field.Name))
		}

		spec := w.ref(field.Type)
		if replace {
			spec += " replace"
		}

		switch omits := slices.Contains(tags[1:], "omitempty"); {
		case omits && keepsEmpty(field.Type):
			spec += " omitnil"
		case omits:
			spec += " omitempty"
		}

		to.Fields.names = append(to.Fields.names, tags[0])
		to.Fields.specs = append(to.Fields.specs, spec+flag)
	}
}

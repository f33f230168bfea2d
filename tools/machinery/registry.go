package machinery

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	_ "unsafe" // for go:linkname
)

// The registry of document kinds is internal to the machinery. There is no other way to get its list of kinds.
//
//go:linkname registeredKinds github.com/siderolabs/talos/pkg/machinery/config/internal/registry.Kinds
func registeredKinds() []string

// Document describes a kind beyond its type.
type Document struct {
	Type        string   `json:"type"`
	APIVersions []string `json:"apiVersions,omitempty"`
	// Named reports whether documents of the kind are identified by name.
	Named     bool     `json:"named,omitempty"`
	Conflicts []string `json:"conflicts,omitempty"`
}

// v1alpha1 is the name of the main document's type in the registry. That document has no kind field.
const v1alpha1 = "v1alpha1"

func (w *walker) documents() map[string]Document {
	result := map[string]Document{}

	for _, kind := range registeredKinds() {
		if kind == v1alpha1 {
			result[""] = Document{Type: w.ref(reflect.TypeOf(load("version: v1alpha1\nmachine: null\n")).Elem())}

			continue
		}

		var doc Document

		for _, version := range []string{"v1alpha1", "v1beta1", "v1"} {
			text := fmt.Sprintf("apiVersion: %s\nkind: %s\n", version, kind)

			loaded, err := tryLoad(text)
			if err == nil {
				mustBeEmpty(kind, reflect.ValueOf(loaded).Elem())
			} else {
				// A link pair needs both names to load.
				text += "peer: {name: peer}\n"

				if loaded, err = tryLoad(text); err != nil {
					continue
				}
			}

			doc.APIVersions = append(doc.APIVersions, version)
			doc.Type = w.ref(reflect.TypeOf(loaded).Elem())

			if _, named := loaded.(config.NamedDocument); named {
				other := load(text + "name: probe\n")
				if other.(config.NamedDocument).Name() != "probe" {
					panic(fmt.Sprintf("%s is not named by its field name", kind))
				}

				doc.Named = true
			}

			if conflicting, ok := loaded.(config.ConflictingDocument); ok {
				doc.Conflicts = slices.Sorted(slices.Values(conflicting.ConflictsWithKinds()))
			}
		}

		if doc.Type == "" {
			panic(fmt.Sprintf("%s has no version that is known here", kind))
		}

		result[kind] = doc
	}

	return result
}

func load(text string) config.Document {
	document, err := tryLoad(text)
	if err != nil {
		panic(fmt.Sprintf("%v in:\n%s", err, text))
	}

	return document
}

func tryLoad(text string) (config.Document, error) {
	provider, err := configloader.NewFromBytes([]byte(text))
	if err != nil {
		return nil, err
	}

	return provider.Documents()[0], nil
}

// mustBeEmpty panics if a new document has a value set: the merge in TypeScript treats missing fields as empty.
func mustBeEmpty(kind string, value reflect.Value) {
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if field.Type.Kind() == reflect.Struct && field.Name == "Meta" {
			continue
		}

		if !value.Field(i).IsZero() {
			panic(fmt.Sprintf("a new %s has %s set", kind, field.Name))
		}
	}
}

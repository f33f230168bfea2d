package machinery

import (
	"encoding"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/siderolabs/talos/pkg/machinery/config/merge"
)

// texts of leaves that do not list their values themselves. They are only examples; the rules come from the machinery.
var texts = map[string][]string{
	"bytes":                            {"YQ==", "Yg=="},
	"v1alpha1.Base64Bytes":             {"YQ==", "Yg=="},
	"yamlutils.StringBytes":            {"a", "b"},
	"v1alpha1.ArgValue":                {"a", "b"},
	"meta.ArgValue":                    {"a", "b"},
	"v1alpha1.Endpoint":                {"https://a.example:6443", "https://10.0.0.1:6443/x", "http://b.example", "https://[fd00::1]:6443"},
	"meta.URL":                         {"https://a.example/x", "https://10.0.0.1:5000", "http://b.example/y?z=1#f", "tcp://c.example:1"},
	"v1alpha1.InstallDiskSizeMatcher":  {"'>= 100GB'", "4GB", "== 2TB"},
	"v1alpha1.DiskSize":                {"100MB", "1GB", "5000000"},
	"cel.Expression":                   {`disk.transport == "nvme"`, "disk.size > 100u * GB"},
	"block.ByteSize":                   {"100MB", "1GiB", "2048"},
	"block.PercentageSize":             {"50%", "25%"},
	"block.Size":                       {"10GiB", "50%", "100MB"},
	"netip.Prefix":                     {"10.0.0.0/8", "fd00::/64", "10.1.2.3/24"},
	"meta.Prefix":                      {"10.0.0.0/8", "fd00::/64", "10.1.2.3/24"},
	"network.Prefix":                   {"10.0.0.0/8", "fd00::/64", "10.1.2.3/24"},
	"network.Addr":                     {"10.0.0.1", "fd00::1", "1.1.1.1"},
	"netip.Addr":                       {"10.0.0.1", "fd00::1", "1.1.1.1"},
	"meta.Addr":                        {"10.0.0.1", "fd00::1", "1.1.1.1"},
	"netip.AddrPort":                   {"10.0.0.1:80", `"[fd00::1]:53"`},
	"meta.AddrPort":                    {"10.0.0.1:80", `"[fd00::1]:53"`},
	"network.AddrPort":                 {"10.0.0.1:80", `"[fd00::1]:53"`},
	"nethelpers.VLANProtocol":          {"802.1q", "802.1ad"},
	"v1alpha1.FileMode":                {"0o644", "0600", "420"},
	"runtime.EtcFileMode":              {"0o644", "0600"},
	"x509.PEMEncodedCertificateAndKey": {"{crt: YQ==, key: Yg==}", "{crt: Yg==}", "{key: YQ==, crt: YWE=}"},
	"x509.PEMEncodedCertificate":       {"{crt: YQ==}", "{crt: Yg==}"},
	"x509.PEMEncodedKey":               {"{key: YQ==}", "{key: Yg==}"},
	"nethelpers.HardwareAddr":          {"00:1a:2b:00:00:01", "00:1a:2b:00:00:02"},
	"network.PortRange":                {"50000", "100-200"},
	"nethelpers.AddressFlags":          {"permanent", "temporary,noprefixroute"},
	"nethelpers.LinkFlags":             {"UP", "UP,BROADCAST"},
	"nethelpers.RouteFlags":            {"onlink", "pervasive,onlink"},
	"nethelpers.FailOverMAC":           {"none", "active", "follow"},
	"nethelpers.RoutingTable":          {"main", "local", "100"},
}

func (w *walker) leaf(t reflect.Type) *Leaf {
	name := nameOf(t)

	samples := texts[name]
	if samples == nil {
		if samples = counted(t); samples == nil {
			w.lacking = append(w.lacking, name)

			return &Leaf{}
		}
	}

	var (
		set   []string
		given []string
		zero  []string
	)

	for _, text := range samples {
		value, err := read(t, text)
		if err != nil {
			panic(fmt.Sprintf("%s: %q: %v", name, text, err))
		}

		given = append(given, text)

		if value.IsZero() {
			zero = append(zero, text)
		} else {
			set = append(set, text)
		}
	}

	// An enumeration whose only value is zero.
	onlyZero := len(set) == 0 && len(zero) == 1 && texts[name] == nil
	if len(set) == 0 && !onlyZero {
		panic(fmt.Sprintf("%s: needs an example that sets it, has %q", name, samples))
	}

	w.samples[name] = given

	rule := "set"
	if !onlyZero {
		rule = mergeOf(t, set)
	}

	leaf := &Leaf{Merge: rule, Zero: zero, Selects: t.Implements(stringer)}

	for _, text := range zero {
		if value, err := read(t, strings.ToUpper(text)); err == nil && value.IsZero() {
			leaf.Fold = true
		}
	}

	if value, err := read(t, `""`); err == nil && !value.IsZero() {
		leaf.Empty = true
	}

	if leaf.Selects && t.Kind() == reflect.Uint32 {
		value, _ := read(t, "0o644")
		leaf.Octal = fmt.Sprint(value.Interface()) == "0o644"
	}

	// The text written for the zero value, if it is not an example yet.
	if marshaler, ok := reflect.New(t).Elem().Interface().(encoding.TextMarshaler); ok {
		if text, err := marshaler.MarshalText(); err == nil && len(text) > 0 && !slices.Contains(zero, string(text)) {
			if value, err := read(t, string(text)); err == nil && value.IsZero() {
				leaf.Zero = append([]string{string(text)}, zero...)
			}
		}
	}

	if len(set) > 0 {
		leaf.Number = isNumber(t, set[0])
	}

	leaf.Basic = t.Kind() != reflect.Struct && t.Kind() != reflect.Slice

	return leaf
}

// counted lists the values of an enumeration.
func counted(t reflect.Type) []string {
	var result []string

	switch t.Kind() { //nolint:exhaustive
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	default:
		return nil
	}

	for i := range 256 {
		value := reflect.New(t).Elem()
		if value.CanInt() {
			value.SetInt(int64(i))
		} else {
			value.SetUint(uint64(i))
		}

		marshaler, ok := value.Interface().(encoding.TextMarshaler)
		if !ok {
			return nil
		}

		text, err := marshaler.MarshalText()
		if err != nil {
			continue
		}

		if back, err := read(t, string(text)); err == nil && back.Equal(value) && !slices.Contains(result, string(text)) {
			result = append(result, string(text))
		}
	}

	return result
}

func read(t reflect.Type, text string) (reflect.Value, error) {
	target := reflect.New(t)

	document := &yaml.Node{}
	if err := yaml.Unmarshal([]byte(text), document); err != nil {
		return target.Elem(), err
	}

	if len(document.Content) == 0 {
		return target.Elem(), nil
	}

	err := document.Content[0].Decode(target.Interface())

	return target.Elem(), err
}

func written(value reflect.Value) string {
	text, err := yaml.Marshal(value.Interface())
	if err != nil {
		panic(err)
	}

	return string(text)
}

func isNumber(t reflect.Type, text string) bool {
	value, err := read(t, text)
	if err != nil {
		panic(err)
	}

	node := &yaml.Node{}
	if err := node.Encode(value.Interface()); err != nil {
		panic(err)
	}

	return node.Tag == "!!int"
}

// mergeOf merges values in a struct with the machinery, and names the rule as in Leaf.
func mergeOf(t reflect.Type, set []string) string {
	found := map[string]bool{}

	for _, a := range set {
		for _, b := range set {
			if a != b || len(set) == 1 {
				found[mergeName(t, a, b)] = true
			}
		}
	}

	for _, mixed := range []string{"url", "size"} {
		if found[mixed] {
			delete(found, "set") // some pairs look like "set"
		}
	}

	if len(found) != 1 {
		panic(fmt.Sprintf("%v: its values are merged in several ways", t))
	}

	for name := range found {
		return name
	}

	return ""
}

const (
	nothing = ""
	refused = "refused"
)

func mergeName(t reflect.Type, a, b string) string {
	both, left, right := merged(t, a, b), merged(t, a, nothing), merged(t, nothing, b)
	zero := written(reflect.New(t).Elem())
	has, sets := textOf(t, a), textOf(t, b)

	switch {
	case both == sets && left == has && right == sets:
		return "set"
	case both == sets && left == zero && right == sets:
		return "always"
	case both == refused && left == refused:
		return "never"
	case both == refused && left == has && right == refused:
		return "once"
	case both == has && !strings.Contains(a, "%") && strings.Contains(b, "%") && left == has && right == sets:
		return "size" // stored in a separate field from bytes, which win
	case t.Kind() == reflect.Struct && t.NumField() == 1 && t.Field(0).Type == reflect.TypeFor[*url.URL]() && left == has && right == sets:
		return "url" // the merge goes through the fields of net/url
	}

	panic(fmt.Sprintf("%v: %q and %q give %q; with nothing: %q and %q", t, a, b, both, left, right))
}

// merged merges two values as the field of a struct, so that the rules of structs apply.
func merged(t reflect.Type, a, b string) (result string) {
	holder := reflect.StructOf([]reflect.StructField{{Name: "Field", Type: t}})
	left, right := reflect.New(holder), reflect.New(holder)

	for text, side := range map[*string]reflect.Value{&a: left, &b: right} {
		if *text != nothing {
			value, err := read(t, *text)
			if err != nil {
				panic(err)
			}

			side.Elem().Field(0).Set(value)
		}
	}

	// A panic would also end talosctl.
	defer func() {
		if recover() != nil {
			result = refused
		}
	}()

	if err := merge.Merge(left.Interface(), right.Interface()); err != nil {
		return refused
	}

	return written(left.Elem().Field(0))
}

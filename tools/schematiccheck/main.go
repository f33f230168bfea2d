// Command schematiccheck computes the IDs of schematics with the Image Factory's own package. It reads one JSON object
// per line, {"schematic": {…}, "text": "…"}, and writes one for each: the ID of the schematic as an object, and of the
// text as the factory would read it from a request. Tests compare the project's own computation with both.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/siderolabs/image-factory/pkg/schematic"
	"github.com/siderolabs/talos/pkg/machinery/imager/imageropts"
)

type question struct {
	Schematic document `json:"schematic"`
	Text      string   `json:"text"`
}

type document struct {
	Owner   string `json:"owner"`
	Overlay struct {
		Image   string         `json:"image"`
		Name    string         `json:"name"`
		Options map[string]any `json:"options"`
	} `json:"overlay"`
	Customization struct {
		EmbeddedMachineConfiguration string   `json:"embeddedMachineConfiguration"`
		ExtraKernelArgs              []string `json:"extraKernelArgs"`
		Meta                         []struct {
			Key   uint8  `json:"key"`
			Value string `json:"value"`
		} `json:"meta"`
		SystemExtensions struct {
			OfficialExtensions []string `json:"officialExtensions"`
		} `json:"systemExtensions"`
		Bootloader string `json:"bootloader"`
		SecureBoot struct {
			EnrollKeys                   string `json:"enrollKeys"`
			IncludeWellKnownCertificates bool   `json:"includeWellKnownCertificates"`
		} `json:"secureboot"`
		DiskImage struct {
			SectorSize uint `json:"sectorSize"`
		} `json:"diskImage"`
	} `json:"customization"`
}

type answer struct {
	ID        string `json:"id"`
	Canonical string `json:"canonical"`
	TextID    string `json:"textId,omitempty"`
	TextError string `json:"textError,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)

	out := bufio.NewWriter(os.Stdout)
	defer out.Flush() //nolint:errcheck

	encoder := json.NewEncoder(out)

	for lines.Scan() {
		var q question

		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.UseNumber()
		decoder.DisallowUnknownFields()

		if err := decoder.Decode(&q); err != nil {
			return err
		}

		a, err := reply(q)
		if err != nil {
			return err
		}

		if err = encoder.Encode(a); err != nil {
			return err
		}
	}

	return lines.Err()
}

func reply(q question) (answer, error) {
	s, err := q.Schematic.toSchematic()
	if err != nil {
		return answer{}, err
	}

	canonical, err := s.Marshal()
	if err != nil {
		return answer{}, err
	}

	id, err := s.ID()
	if err != nil {
		return answer{}, err
	}

	a := answer{ID: id, Canonical: string(canonical)}

	posted, err := schematic.Unmarshal([]byte(q.Text))
	if err != nil {
		a.TextError = err.Error()

		return a, nil
	}

	a.TextID, err = posted.ID()

	return a, err
}

func (d document) toSchematic() (*schematic.Schematic, error) {
	c := d.Customization

	s := &schematic.Schematic{
		Owner: d.Owner,
		Overlay: schematic.Overlay{
			Image: d.Overlay.Image,
			Name:  d.Overlay.Name,
		},
		Customization: schematic.Customization{
			EmbeddedMachineConfiguration: c.EmbeddedMachineConfiguration,
			ExtraKernelArgs:              c.ExtraKernelArgs,
			SystemExtensions:             schematic.SystemExtensions{OfficialExtensions: c.SystemExtensions.OfficialExtensions},
			SecureBoot: schematic.SecureBootCustomization{
				EnrollKeys:                   c.SecureBoot.EnrollKeys,
				IncludeWellKnownCertificates: c.SecureBoot.IncludeWellKnownCertificates,
			},
			DiskImage: schematic.DiskImageCustomization{SectorSize: c.DiskImage.SectorSize},
		},
	}

	for _, m := range c.Meta {
		s.Customization.Meta = append(s.Customization.Meta, schematic.MetaValue{Key: m.Key, Value: m.Value})
	}

	if c.Bootloader != "" {
		kind, err := imageropts.BootloaderKindString(c.Bootloader)
		if err != nil {
			return nil, err
		}

		s.Customization.Bootloader = kind
	}

	options, err := numbers(d.Overlay.Options)
	if err != nil {
		return nil, err
	}

	s.Overlay.Options, _ = options.(map[string]any) //nolint:errcheck

	return s, nil
}

// numbers converts JSON numbers to what YAML would read: whole numbers without an exponent are integers.
func numbers(value any) (any, error) {
	var err error

	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			if v[key], err = numbers(v[key]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return v.Float64()
		}

		return v.Int64()
	}

	return value, nil
}

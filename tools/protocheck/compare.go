// Package protocheck holds the .proto files of this repository against the real API.
//
// They are a subset written for this project; a wrong field number or type in them would show only as silently
// missing or garbled data, so they are compared with the descriptors in Talos's own generated code.
package protocheck

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Compare reports where the declarations of a file differ from the declarations of the same names in real.
// Everything in the file has to be in real; real may have more.
func Compare(file protoreflect.FileDescriptor, real protodesc.Resolver) []string {
	c := &comparison{file: file, real: real}
	c.messages(file.Messages())
	c.enums(file.Enums())

	for service := range all(file.Services()) {
		c.service(service)
	}

	return c.differences
}

type comparison struct {
	file        protoreflect.FileDescriptor
	real        protodesc.Resolver
	differences []string
}

func (c *comparison) differ(at protoreflect.Descriptor, format string, args ...any) {
	line := c.file.SourceLocations().ByDescriptor(at).StartLine + 1
	c.differences = append(c.differences,
		fmt.Sprintf("%s:%d: %s: %s", c.file.Path(), line, at.FullName(), fmt.Sprintf(format, args...)))
}

// property reports a property that has one value here and another in the real API.
func property[T comparable](c *comparison, at protoreflect.Descriptor, what string, ours, real T) {
	if ours != real {
		c.differ(at, "%s is %v, in the real API it is %v", what, ours, real)
	}
}

func (c *comparison) messages(messages protoreflect.MessageDescriptors) {
	for ours := range all(messages) {
		if ours.IsMapEntry() {
			continue // made by the compiler for a map field, which is compared itself
		}

		real, ok := find[protoreflect.MessageDescriptor](c, ours, "message")
		if !ok {
			continue
		}

		for field := range all(ours.Fields()) {
			c.field(field, real.Fields())
		}

		c.messages(ours.Messages())
		c.enums(ours.Enums())
	}
}

func (c *comparison) field(ours protoreflect.FieldDescriptor, fields protoreflect.FieldDescriptors) {
	real := fields.ByName(ours.Name())
	if real == nil {
		c.differ(ours, "the real message has no such field; it has %s", names(fields))

		return
	}

	property(c, ours, "its number", ours.Number(), real.Number())
	property(c, ours, "its type", typeOf(ours), typeOf(real))
	property(c, ours, "its label", labelOf(ours), labelOf(real))
	property(c, ours, "packed", ours.IsPacked(), real.IsPacked())
	property(c, ours, "its JSON name", ours.JSONName(), real.JSONName())
	property(c, ours, "its oneof", oneofOf(ours), oneofOf(real))
}

func (c *comparison) enums(enums protoreflect.EnumDescriptors) {
	for ours := range all(enums) {
		real, ok := find[protoreflect.EnumDescriptor](c, ours, "enum")
		if !ok {
			continue
		}

		for value := range all(ours.Values()) {
			if other := real.Values().ByName(value.Name()); other == nil {
				c.differ(value, "the real enum has no such value; it has %s", names(real.Values()))
			} else {
				property(c, value, "its number", value.Number(), other.Number())
			}
		}
	}
}

func (c *comparison) service(ours protoreflect.ServiceDescriptor) {
	real, ok := find[protoreflect.ServiceDescriptor](c, ours, "service")
	if !ok {
		return
	}

	for method := range all(ours.Methods()) {
		other := real.Methods().ByName(method.Name())
		if other == nil {
			c.differ(method, "the real service has no such method; it has %s", names(real.Methods()))

			continue
		}

		property(c, method, "its request", method.Input().FullName(), other.Input().FullName())
		property(c, method, "its response", method.Output().FullName(), other.Output().FullName())
		property(c, method, "streaming of requests", method.IsStreamingClient(), other.IsStreamingClient())
		property(c, method, "streaming of responses", method.IsStreamingServer(), other.IsStreamingServer())
	}
}

func find[T protoreflect.Descriptor](c *comparison, ours T, kind string) (T, bool) {
	found, err := c.real.FindDescriptorByName(ours.FullName())
	if err != nil {
		c.differ(ours, "the real API has no such %s", kind)

		var none T

		return none, false
	}

	real, ok := found.(T)
	if !ok {
		c.differ(ours, "is of kind %s here, of another kind in the real API", kind)
	}

	return real, ok
}

// typeOf names what a field carries, as one would write it in a .proto file.
func typeOf(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return fmt.Sprintf("map<%s, %s>", typeOf(field.MapKey()), typeOf(field.MapValue()))
	case field.Message() != nil:
		return string(field.Message().FullName())
	case field.Enum() != nil:
		return string(field.Enum().FullName())
	default:
		return field.Kind().String()
	}
}

func labelOf(field protoreflect.FieldDescriptor) string {
	if field.HasOptionalKeyword() {
		return "optional"
	}

	if field.Cardinality() == protoreflect.Repeated {
		return "repeated"
	}

	return "none"
}

func oneofOf(field protoreflect.FieldDescriptor) string {
	if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
		return string(oneof.Name())
	}

	return "none"
}

type list[D any] interface {
	Len() int
	Get(int) D
}

func all[D any](items list[D]) func(func(D) bool) {
	return func(yield func(D) bool) {
		for i := range items.Len() {
			if !yield(items.Get(i)) {
				return
			}
		}
	}
}

func names[D protoreflect.Descriptor](items list[D]) string {
	var result []string

	for item := range all(items) {
		result = append(result, string(item.Name()))
	}

	return strings.Join(result, ", ")
}

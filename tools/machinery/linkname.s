// The Go compiler only allows registry.go to declare a function without a body if the package has an assembly file.

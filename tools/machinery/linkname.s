// An assembly file, though an empty one, lets registry.go declare a function without its body.

package main

import (
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push brings the layout to a registry, byte for byte, with the credentials that
// docker login has left.
func push(from, to string) error {
	reference, err := name.ParseReference(to)
	if err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(from)
	if err != nil {
		return err
	}
	return remote.WriteIndex(reference, index, remote.WithAuthFromKeychain(authn.DefaultKeychain))
}

// Command image writes the container image of promfence, without a daemon and from
// nothing but binaries: an OCI layout with an index of one image for each platform.
// The same binaries give the same bytes, whoever builds them; the sha256 of
// index.json is the digest that is published.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is a number, so that Kubernetes can see that it is not root.
const user = "65532:65532"

func main() {
	out := flag.String("out", "", "folder for the OCI layout")
	binaries := flag.String("binaries", "", "path of the binaries, to which the architecture is appended")
	version := flag.String("version", "", "version of the image")
	revision := flag.String("revision", "", "commit that it was built from")
	created := flag.String("created", "", "time of the commit, as in RFC 3339")
	reference := flag.String("push", "", "where to push the layout that is in the folder; nothing is then written")
	flag.Parse()
	if *reference != "" {
		if err := push(*out, *reference); err != nil {
			fmt.Fprintln(os.Stderr, "image:", err)
			os.Exit(1)
		}
		return
	}
	at, err := time.Parse(time.RFC3339, *created)
	if err == nil {
		err = write(*out, *binaries, at.UTC(), map[string]string{
			"org.opencontainers.image.title":       "promfence",
			"org.opencontainers.image.description": "Every tenant queries a shared Prometheus or Thanos and sees only its own series",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.source":      "https://github.com/promfence/promfence",
			"org.opencontainers.image.version":     *version,
			"org.opencontainers.image.revision":    *revision,
			"org.opencontainers.image.created":     at.UTC().Format(time.RFC3339),
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(out, binaries string, at time.Time, about map[string]string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		binary, err := os.ReadFile(binaries + arch)
		if err != nil {
			return err
		}
		image, err := build(binary, arch, at, about)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	annotated, _ := mutate.Annotations(index, about).(v1.ImageIndex)
	_, err := layout.Write(out, annotated)
	return err
}

// build is one layer on nothing.
func build(binary []byte, arch string, at time.Time, about map[string]string) (v1.Image, error) {
	content, err := layer(binary, at)
	if err != nil {
		return nil, err
	}
	compressed, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression),
	)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: compressed, History: v1.History{Created: v1.Time{Time: at}, CreatedBy: "make image"}}); err != nil {
		return nil, err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: at},
		RootFS: rootFS(image), History: []v1.History{{Created: v1.Time{Time: at}, CreatedBy: "make image"}},
		Config: v1.Config{
			User: user, Entrypoint: []string{"/promfence"}, Labels: about,
			// Metrics and health for the kubelet, which comes from outside of the pod.
			Env:          []string{"PROMFENCE_ADMIN_ADDRESS=:8081"},
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
		},
	})
	if err != nil {
		return nil, err
	}
	annotated, _ := mutate.Annotations(image, about).(v1.Image)
	return annotated, nil
}

func rootFS(image v1.Image) v1.RootFS {
	c, err := image.ConfigFile()
	if err != nil {
		return v1.RootFS{} // the layer is then missing, which validation notices
	}
	return c.RootFS
}

// layer holds all that the program needs: itself, and the authorities that it may
// trust.
func layer(binary []byte, at time.Time) ([]byte, error) {
	var certificates bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil { // trusted for some certificates only, which a file cannot say
			continue
		}
		if err := pem.Encode(&certificates, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name    string
		content []byte
		mode    int64
	}{
		{"etc/", nil, 0o755},
		{"etc/ssl/", nil, 0o755},
		{"etc/ssl/certs/", nil, 0o755},
		{"etc/ssl/certs/ca-certificates.crt", certificates.Bytes(), 0o444},
		{"promfence", binary, 0o555},
	} {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

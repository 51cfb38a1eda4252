package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// parsePEM reads the public keys of a PEM file: PUBLIC KEY, RSA PUBLIC KEY or
// CERTIFICATE blocks. Here a block that cannot be used is an error: somebody
// wrote this file for us.
func parsePEM(b []byte, allowed []string) (keys []verifyKey, err error) {
	begun := bytes.Count(b, []byte("-----BEGIN "))
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		begun--
		key, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newKey("", "", key, allowed)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
	}
	switch {
	case begun > 0:
		return nil, errors.New("holds a block that is damaged")
	case len(keys) == 0:
		return nil, errNoKeys
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("holds a private key, want only the public one")
	}
	return nil, fmt.Errorf("holds a block of the unknown type %s", quote(block.Type))
}

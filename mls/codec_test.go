package mls

import (
	"encoding/hex"
	"errors"
	"testing"
)

// Encodings that are not the one encoding of anything.
func TestMalformed(t *testing.T) {
	opaque := func(b []byte) error { _, err := parse(b, (*reader).opaque); return err }
	optional := func(b []byte) error { _, err := parse(b, (*reader).present); return err }
	message := func(b []byte) error { _, err := Inspect(b); return err }
	list := func(b []byte) error { _, err := parse(b, decodeExtensions); return err }
	for _, c := range []struct {
		what   string
		decode func([]byte) error
		hex    string
		want   error
	}{
		{"empty", opaque, "", ErrMalformed},
		{"truncated", opaque, "0201", ErrMalformed},
		{"trailing", opaque, "010100", ErrMalformed},
		{"truncated length", opaque, "40", ErrMalformed},
		{"two bytes where one does", opaque, "400101", ErrMalformed},
		{"four bytes where two do", opaque, "8000000101", ErrMalformed},
		{"prefix 3", opaque, "c00000000000000101", ErrMalformed},
		{"a length beyond the input", opaque, "bfffffff", ErrMalformed},
		{"presence 2", optional, "02", ErrMalformed},
		{"element cut by its vector", list, "03f10101", ErrMalformed},
		{"extension twice", list, "06f10100f10100", ErrMalformed},
		{"version 2", message, "00020001", ErrUnsupported},
		{"wire format 6", message, "00010006", ErrUnsupported},
		{"sender type 5", message, "0001000100000000000000000005", ErrMalformed},
		{"content type 4", message, "000100020000000000000000000400000000", ErrMalformed},
		{"content type 0", message, "000100020000000000000000000000000000", ErrMalformed},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.decode(b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	proposal := func(b []byte) error { _, err := parse(b, decodeProposal); return err }
	commits := func(b []byte) error { _, err := parse(b, decodeCommit); return err }
	node := func(b []byte) error { _, err := parse(b, decodeTreeNode); return err }
	tree := func(b []byte) error { _, err := parseTree(nil, b); return err }
	for _, c := range []struct {
		what   string
		decode func([]byte) error
		hex    string
		want   error
	}{
		{"proposal of type 0xf123", proposal, "f12300", ErrUnsupported},
		{"PSK type 3", proposal, "00040300", ErrMalformed},
		{"resumption usage 4", proposal, "000402040000000000000000000000", ErrMalformed},
		{"ProposalOrRef type 3", commits, "02030000", ErrMalformed},
		{"node type 3", node, "0103", ErrMalformed},
		{"blank tree", tree, "0100", ErrMalformed},
		{"parent in a leaf's place", tree, "050102000000", ErrMalformed},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.decode(b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

// Keys of the wrong size or for another suite are turned down, not used.
func TestKeys(t *testing.T) {
	for _, cs := range CipherSuites() {
		key := must(GenerateSignatureKey(cs))(t)
		again := must(NewSignatureKey(cs, key.Bytes()))(t)
		equal(t, "public key", again.Public(), key.Public())
		if _, err := NewSignatureKey(cs, key.Bytes()[1:]); !errors.Is(err, ErrMalformed) {
			t.Errorf("suite %d, short key: %v", cs, err)
		}
		sig := must(key.sign("label", []byte("content")))(t)
		s := key.suite
		for what, ok := range map[string]bool{
			"other label":   s.verifySignature(key.Public(), "other", []byte("content"), sig),
			"other content": s.verifySignature(key.Public(), "label", []byte("other"), sig),
			"short key":     s.verifySignature(key.Public()[1:], "label", []byte("content"), sig),
			"no signature":  s.verifySignature(key.Public(), "label", []byte("content"), nil),
		} {
			if ok {
				t.Errorf("suite %d: %s verifies", cs, what)
			}
		}
		if _, err := s.parseHPKEKey([]byte{1}); !errors.Is(err, ErrMalformed) {
			t.Errorf("suite %d, HPKE key: %v", cs, err)
		}
	}
	if _, err := (Client{}).NewGroup(testConfig(), nil, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("group of a client without a key: %v", err)
	}
	if _, _, err := (Client{}).NewKeyPackage(nil); !errors.Is(err, ErrRefused) {
		t.Errorf("key package of a client without a key: %v", err)
	}
	if _, err := GenerateSignatureKey(4); !errors.Is(err, ErrUnsupported) {
		t.Errorf("suite 4: %v", err)
	}
}

package operator

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"writ/internal/keyfile"
	"writ/internal/wire"
	"writ/notice/beacon"
)

// KeyFile is the name of the file with an operator's secrets: see package
// keyfile.
const KeyFile = "beacon.age"

// Keys are an operator's secrets: the keys with which it takes part in
// ceremonies, what it dealt in the one under way, and its shares. Encoded:
//
//	struct {
//	    uint16 version = 1;
//	    Name   name;
//	    opaque signer[32];                       Ed25519 seed
//	    opaque mail[32];                         X-Wing private key
//	    struct { opaque ceremony[32]; opaque seed[32]; opaque deal<V>; } dealt<V>;
//	    struct { opaque group<V>; opaque share<V>; } held<V>;
//	} Keys;
//
// A deal is kept as it was posted: made again it would be another, which is a
// fault.
type Keys struct {
	path       string
	passphrase []byte
	work       int

	name   string
	signer beacon.OperatorSigner
	mail   *beacon.MailOpener
	dealt  []dealt
	held   []held
}

// dealt is what an operator dealt in a ceremony that is not finished.
type dealt struct {
	ceremony, seed [32]byte
	deal           []byte // the document
}

// held is a share of a group.
type held struct {
	group *beacon.Group
	share *beacon.Share
}

const keysVersion = 1

// CreateKeys makes the key file of a new operator in an existing directory and
// returns what a ceremony says of it. It refuses to replace a key file. Work is
// scrypt's work factor; 0 means [keyfile.DefaultWorkFactor].
func CreateKeys(dir string, passphrase []byte, work int, name string) (*beacon.Member, error) {
	path := filepath.Join(dir, KeyFile)
	if !wire.ValidName(name) {
		return nil, fmt.Errorf("operator: invalid: name %q", name)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("operator: refused: %s exists already", path)
	}
	_, signer, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	mail, err := beacon.NewMailOpener()
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	k := &Keys{path: path, passphrase: bytes.Clone(passphrase), work: work, name: name, signer: beacon.OperatorSigner(signer), mail: mail}
	defer k.Erase()
	return k.Member(), k.save()
}

// OpenKeys reads a key file. A wrong passphrase is [keyfile.ErrPassphrase].
func OpenKeys(dir string, passphrase []byte, work int) (*Keys, error) {
	if err := keyfile.CheckWork(work); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	path := filepath.Join(dir, KeyFile)
	plain, err := keyfile.Read(path, passphrase)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	defer clear(plain)
	k, err := parseKeys(plain)
	if err != nil {
		return nil, fmt.Errorf("operator: %s: %w", path, err)
	}
	k.path, k.passphrase, k.work = path, bytes.Clone(passphrase), work
	return k, nil
}

// Member returns what a ceremony says of the operator.
func (k *Keys) Member() *beacon.Member {
	return &beacon.Member{Name: k.name, Key: k.signer.Public(), Mail: k.mail.Public()}
}

// Groups returns the groups of which the operator has a share.
func (k *Keys) Groups() []*beacon.Group {
	var groups []*beacon.Group
	for _, h := range k.held {
		groups = append(groups, h.group)
	}
	return groups
}

// share returns the share of a group, or nil.
func (k *Keys) share(g *beacon.Group) *beacon.Share {
	for _, h := range k.held {
		if g != nil && h.group.Hash() == g.Hash() {
			return h.share
		}
	}
	return nil
}

// Erase overwrites the secrets in memory.
func (k *Keys) Erase() {
	clear(k.signer)
	clear(k.passphrase)
	for i := range k.dealt {
		clear(k.dealt[i].seed[:])
	}
	for _, h := range k.held {
		h.share.Erase()
	}
}

func (k *Keys) save() error {
	plain := k.encode()
	defer clear(plain)
	if err := keyfile.Write(k.path, k.passphrase, k.work, plain); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	return nil
}

func (k *Keys) encode() []byte {
	mail := k.mail.Bytes()
	defer clear(mail)
	var w wire.Writer
	w.Uint16(keysVersion)
	w.String(k.name)
	w.Fixed(ed25519.PrivateKey(k.signer).Seed())
	w.Fixed(mail)
	w.Vector(func(w *wire.Writer) {
		for _, d := range k.dealt {
			w.Fixed(d.ceremony[:])
			w.Fixed(d.seed[:])
			w.Opaque(d.deal)
		}
	})
	w.Vector(func(w *wire.Writer) {
		for _, h := range k.held {
			w.Opaque(h.group.Encode())
			w.Opaque(h.share.Encode())
		}
	})
	return w.Bytes()
}

func parseKeys(b []byte) (*Keys, error) {
	r := wire.NewReader(b)
	if v := r.Uint16(); v != keysVersion {
		r.Fail("version %d", v)
	}
	k := &Keys{name: r.Name()}
	signer, mail := r.Fixed(ed25519.SeedSize), r.Fixed(32)
	list := r.Vector(keyfile.MaxSize)
	for list.More() {
		k.dealt = append(k.dealt, dealt{list.Array32(), list.Array32(), slices.Clone(list.Opaque(beacon.MaxDocument))})
	}
	r.Check(list.Done())
	shares := r.Vector(keyfile.MaxSize)
	for shares.More() {
		h, err := parseHeld(shares.Opaque(beacon.MaxGroup), shares.Opaque(256))
		shares.Check(err)
		k.held = append(k.held, h)
	}
	r.Check(shares.Done())
	if err := r.Done(); err != nil {
		return nil, err
	}
	var err error
	k.signer = beacon.OperatorSigner(ed25519.NewKeyFromSeed(signer))
	k.mail, err = beacon.ParseMailOpener(mail)
	return k, err
}

func parseHeld(group, share []byte) (h held, err error) {
	if h.group, err = beacon.ParseGroup(group); err != nil {
		return h, err
	}
	h.share, err = beacon.ParseShare(h.group, share)
	return h, err
}

// secret returns the operator for a ceremony, with the seed it deals from: the
// one it dealt from before, or a fresh one.
func (k *Keys) secret(ceremony [32]byte) *beacon.Operator {
	o := &beacon.Operator{Signer: k.signer, Mail: k.mail}
	if d := k.dealtIn(ceremony); d != nil {
		o.Seed = d.seed
	} else {
		rand.Read(o.Seed[:])
	}
	return o
}

func (k *Keys) dealtIn(ceremony [32]byte) *dealt {
	for i := range k.dealt {
		if k.dealt[i].ceremony == ceremony {
			return &k.dealt[i]
		}
	}
	return nil
}

// Package forger encrypts as any member of a conversation can who knows a
// compartment's secrets, for tests of what a forger can't do: sign. It is an
// implementation of its own of RFC 9420 sections 6.1, 6.3 and 9.1, for suites with
// SHA-256, ChaCha20-Poly1305 and Ed25519.
package forger

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/internal/wire"
)

// Forger knows the secrets of one compartment: of what the leaf sends in the
// epoch.
type Forger struct {
	Ratchet, SenderData []byte
	Group               []byte
	Epoch               uint64
	Leaf                uint32
	Context             []byte // the GroupContext, encoded
	AuthenticatedData   []byte
}

func expand(secret []byte, label string, context []byte, n int) []byte {
	var w wire.Writer
	w.Uint16(uint16(n))
	w.Opaque([]byte("MLS 1.0 " + label))
	w.Opaque(context)
	b, err := hkdf.Expand(sha256.New, secret, string(w.Bytes()), n)
	if err != nil {
		panic(err) // n is small
	}
	return b
}

// key is the key and nonce of a generation.
func (f *Forger) key(generation uint32) (key, nonce []byte) {
	secret := f.Ratchet
	for g := uint32(0); ; g++ {
		context := binary.BigEndian.AppendUint32(nil, g)
		if g == generation {
			return expand(secret, "key", context, 32), expand(secret, "nonce", context, 12)
		}
		secret = expand(secret, "secret", context, 32)
	}
}

// content is FramedContent of an application message.
func (f *Forger) content(w *wire.Writer, text string) {
	w.Opaque(f.Group)
	w.Uint64(f.Epoch)
	w.Uint8(1) // sender type member
	w.Uint32(f.Leaf)
	w.Opaque(f.AuthenticatedData)
	w.Uint8(1) // application
	w.Opaque([]byte(text))
}

// Sign is the signature that a key makes over a text (6.1).
func (f *Forger) Sign(key ed25519.PrivateKey, text string) []byte {
	var tbs, signed wire.Writer
	tbs.Uint16(1) // MLS 1.0
	tbs.Uint16(2) // PrivateMessage
	f.content(&tbs, text)
	tbs.Fixed(f.Context)
	signed.Opaque([]byte("MLS 1.0 FramedContentTBS"))
	signed.Opaque(tbs.Bytes())
	return ed25519.Sign(key, signed.Bytes())
}

// aead returns what seals and opens with a key of 32 bytes.
func aead(key []byte) interface {
	Seal(dst, nonce, plaintext, aad []byte) []byte
	Open(dst, nonce, ciphertext, aad []byte) ([]byte, error)
} {
	a, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err)
	}
	return a
}

// sample is what the sender's data is encrypted under (6.3.2).
func (f *Forger) sample(ciphertext []byte) (key, nonce []byte) {
	s := ciphertext[:min(32, len(ciphertext))]
	return expand(f.SenderData, "key", s, 32), expand(f.SenderData, "nonce", s, 12)
}

// Encrypt makes the MLSMessage of a text and a signature (6.3).
func (f *Forger) Encrypt(generation uint32, text string, signature []byte) []byte {
	var plain, aad, out wire.Writer
	plain.Opaque([]byte(text))
	plain.Opaque(signature)
	aad.Opaque(f.Group)
	aad.Uint64(f.Epoch)
	aad.Uint8(1)
	senderAAD := slices.Clone(aad.Bytes())
	aad.Opaque(f.AuthenticatedData)
	key, nonce := f.key(generation) // the reuse guard is zero
	ciphertext := aead(key).Seal(nil, nonce, plain.Bytes(), aad.Bytes())
	sender := binary.BigEndian.AppendUint32(nil, f.Leaf)
	sender = append(binary.BigEndian.AppendUint32(sender, generation), 0, 0, 0, 0)
	senderKey, senderNonce := f.sample(ciphertext)
	out.Uint16(1)
	out.Uint16(2)
	out.Fixed(aad.Bytes())
	out.Opaque(aead(senderKey).Seal(nil, senderNonce, sender, senderAAD))
	out.Opaque(ciphertext)
	return out.Bytes()
}

// SignatureOf takes the signature out of a genuine message, as a reader can.
func (f *Forger) SignatureOf(generation uint32, message []byte) ([]byte, error) {
	r := wire.NewReader(message)
	r.Fixed(4) // version, wire format
	var aad wire.Writer
	aad.Opaque(r.Opaque(64))
	aad.Uint64(r.Uint64())
	aad.Uint8(r.Uint8())
	senderAAD := slices.Clone(aad.Bytes())
	aad.Opaque(r.Opaque(32))
	sender, ciphertext := r.Opaque(64), r.Opaque(1<<16)
	if err := r.Done(); err != nil {
		return nil, err
	}
	senderKey, senderNonce := f.sample(ciphertext)
	plain, err := aead(senderKey).Open(nil, senderNonce, sender, senderAAD)
	if err != nil {
		return nil, err
	}
	key, nonce := f.key(generation)
	for i, b := range plain[8:] { // the reuse guard
		nonce[i] ^= b
	}
	framed, err := aead(key).Open(nil, nonce, ciphertext, aad.Bytes())
	if err != nil {
		return nil, err
	}
	p := wire.NewReader(framed)
	p.Opaque(1 << 16) // the text
	signature := p.Opaque(64)
	if len(signature) != 64 {
		return nil, errors.New("forger: no signature in it")
	}
	return signature, nil
}

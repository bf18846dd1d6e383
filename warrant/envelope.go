package warrant

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/charter"
	"writ/internal/wire"
)

// The envelope:
//
//	struct {
//	    uint16 version = 1;
//	    struct { string id; opaque enc_and_key<V>; } recipients<V>;
//	    opaque body<V>;
//	} Envelope;
//
// A fresh content key seals the body once with ChaCha20-Poly1305, nonce zero,
// the bytes before the body as additional data. It is sealed to each recipient
// with HPKE base mode (RFC 9180; X-Wing, HKDF-SHA256, ChaCha20-Poly1305), info
// "writ/v1 envelope", the recipient's id as additional data. The sender is not
// authenticated: what is inside is signed.
const (
	envelopeVersion = 1
	maxRecipients   = 255
	maxRecipientID  = 2*wire.MaxName + 1
	maxWrapped      = 2048
)

// MaxContent bounds the content of an envelope in bytes.
const MaxContent = 33 << 20

// Recipient is who can open an envelope. ID is any text of at most 129 bytes
// by which recipients differ, by custom "office/name". MailKey is the
// public key.
type Recipient struct {
	ID      string
	MailKey charter.MailKey
}

// Seal puts content into an envelope for 1 to 255 recipients.
func Seal(content []byte, recipients []Recipient) ([]byte, error) {
	if len(content) > MaxContent {
		return nil, fmt.Errorf("warrant: %w: content of %d bytes", ErrInvalid, len(content))
	}
	if len(recipients) == 0 || len(recipients) > maxRecipients {
		return nil, fmt.Errorf("warrant: %w: %d recipients", ErrInvalid, len(recipients))
	}
	key := make([]byte, chacha20poly1305.KeySize)
	defer clear(key)
	rand.Read(key)
	var list wire.Writer
	seen := make(map[string]bool, len(recipients))
	for _, to := range recipients {
		sealed, err := sealKey(key, to)
		if err != nil || seen[to.ID] {
			return nil, fmt.Errorf("warrant: %w: recipient %q: bad key or named twice", ErrInvalid, to.ID)
		}
		seen[to.ID] = true
		list.String(to.ID)
		list.Opaque(sealed)
	}
	var w wire.Writer
	w.Uint16(envelopeVersion)
	w.Opaque(list.Bytes())
	body, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, wrap(err)
	}
	w.Opaque(body.Seal(nil, make([]byte, body.NonceSize()), content, w.Bytes()))
	return w.Bytes(), nil
}

// Open takes the content out of an envelope as recipient id.
func Open(envelope []byte, id string, k *MailKey) ([]byte, error) {
	wrapped, head, sealed, err := parseEnvelope(envelope, id)
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		return nil, fmt.Errorf("warrant: %w: envelope is not addressed to %q", ErrRefused, id)
	}
	key, err := openKey(wrapped, id, k)
	if err != nil {
		return nil, fmt.Errorf("warrant: %w: envelope does not open with this key", ErrInvalid)
	}
	defer clear(key)
	body, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, fmt.Errorf("warrant: %w: envelope", ErrInvalid)
	}
	content, err := body.Open(nil, make([]byte, body.NonceSize()), sealed, head)
	if err != nil {
		return nil, fmt.Errorf("warrant: %w: envelope was changed", ErrInvalid)
	}
	return content, nil
}

// parseEnvelope returns the sealed content key of recipient id (nil if none),
// the bytes before the body, and the body.
func parseEnvelope(envelope []byte, id string) (wrapped, head, body []byte, err error) {
	r := wire.NewReader(envelope)
	if v := r.Uint16(); r.Err() == nil && v != envelopeVersion {
		return nil, nil, nil, unsupported("envelope version", "%d", v)
	}
	list := r.Opaque(maxRecipients * (maxRecipientID + maxWrapped + 4))
	seen := make(map[string]bool)
	for in := wire.NewReader(list); ; {
		if !in.More() {
			r.Check(in.Done())
			break
		}
		to, sealed := in.String(maxRecipientID), in.Opaque(maxWrapped)
		if seen[to] || len(seen) == maxRecipients {
			in.Fail("recipient %q twice, or more than %d recipients", to, maxRecipients)
		}
		seen[to] = true
		if to == id {
			wrapped = bytes.Clone(sealed)
		}
	}
	body = r.Opaque(MaxContent + chacha20poly1305.Overhead)
	if err := r.Done(); err != nil {
		return nil, nil, nil, fmt.Errorf("warrant: envelope: %w", err)
	}
	var w wire.Writer
	w.Uint16(envelopeVersion)
	w.Opaque(list)
	return wrapped, w.Bytes(), body, nil
}

func sealKey(key []byte, to Recipient) ([]byte, error) {
	var id wire.Writer
	id.String(to.ID)
	r := wire.NewReader(id.Bytes())
	if r.String(maxRecipientID); r.Err() != nil {
		return nil, r.Err()
	}
	public, err := hpke.MLKEM768X25519().NewPublicKey(to.MailKey)
	if err != nil {
		return nil, err
	}
	enc, s, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(wire.Label("envelope")))
	if err != nil {
		return nil, err
	}
	sealed, err := s.Seal([]byte(to.ID), key)
	return append(enc, sealed...), err
}

func openKey(wrapped []byte, id string, k *MailKey) ([]byte, error) {
	const enc = 1120 // X-Wing encapsulated key
	if len(wrapped) < enc {
		return nil, ErrInvalid
	}
	r, err := hpke.NewRecipient(wrapped[:enc], k.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(wire.Label("envelope")))
	if err != nil {
		return nil, err
	}
	return r.Open([]byte(id), wrapped[enc:])
}

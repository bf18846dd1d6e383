package mls

import (
	"bytes"
	"crypto/hpke"
	"fmt"
)

// An hpkePublicKey is the encoding of the suite's KEM (RFC 9420 5.1.1).
type hpkePublicKey []byte

// hpkeKey is an HPKE private key. The parsed form is kept beside the bytes,
// because parsing an X-Wing key costs an ML-KEM key generation.
type hpkeKey struct {
	raw    []byte
	parsed hpke.PrivateKey
	public hpkePublicKey
}

// hpkeCiphertext is HPKECiphertext of RFC 9420 7.6.
type hpkeCiphertext struct{ kemOutput, ciphertext []byte }

func (c hpkeCiphertext) encode(w *writer) {
	w.opaque(c.kemOutput)
	w.opaque(c.ciphertext)
}

func decodeHPKECiphertext(r *reader) hpkeCiphertext {
	return hpkeCiphertext{r.opaque(), r.opaque()}
}

func (s *suite) wrapHPKEKey(k hpke.PrivateKey, err error) (*hpkeKey, error) {
	if err != nil {
		return nil, malformed("HPKE private key: %w", err)
	}
	raw, err := k.Bytes()
	if err != nil {
		return nil, malformed("HPKE private key: %w", err)
	}
	return &hpkeKey{raw, k, k.PublicKey().Bytes()}, nil
}

func (s *suite) generateHPKEKey() (*hpkeKey, error) { return s.wrapHPKEKey(s.kem.GenerateKey()) }

func (s *suite) parseHPKEKey(raw []byte) (*hpkeKey, error) {
	return s.wrapHPKEKey(s.kem.NewPrivateKey(raw))
}

func (s *suite) deriveHPKEKey(ikm []byte) (*hpkeKey, error) {
	return s.wrapHPKEKey(s.kem.DeriveKeyPair(ikm))
}

// erase overwrites the bytes. The standard library's parsed key can't be overwritten;
// it is left to the garbage collector.
func (k *hpkeKey) erase() {
	clear(k.raw)
	k.parsed = nil
}

// clone keeps its bytes when k is erased.
func (k *hpkeKey) clone() *hpkeKey { return &hpkeKey{bytes.Clone(k.raw), k.parsed, k.public} }

// checkHPKEPublic says whether the KEM accepts the key.
func (s *suite) checkHPKEPublic(key hpkePublicKey) error {
	if _, err := s.kem.NewPublicKey(key); err != nil {
		return invalid("HPKE public key: %w", err) // 7.3
	}
	return nil
}

// encryptContext is EncryptContext of RFC 9420 5.1.3.
func encryptContext(label string, context []byte) []byte {
	var w writer
	w.opaque([]byte("MLS 1.0 " + label))
	w.opaque(context)
	return w.buf
}

// encryptWithLabel is EncryptWithLabel of RFC 9420 5.1.3.
func (s *suite) encryptWithLabel(key hpkePublicKey, label string, context, plaintext []byte) (hpkeCiphertext, error) {
	return s.encrypt(key, encryptContext(label, context), plaintext)
}

// encrypt takes a context that was encoded once for many recipients.
func (s *suite) encrypt(key hpkePublicKey, info, plaintext []byte) (hpkeCiphertext, error) {
	pk, err := s.kem.NewPublicKey(key)
	if err != nil {
		return hpkeCiphertext{}, invalid("HPKE public key: %w", err)
	}
	enc, sender, err := hpke.NewSender(pk, s.kdf, s.aead, info)
	if err != nil {
		return hpkeCiphertext{}, fmt.Errorf("mls: HPKE sender: %w", err)
	}
	ct, err := sender.Seal(nil, plaintext)
	if err != nil {
		return hpkeCiphertext{}, fmt.Errorf("mls: HPKE seal: %w", err)
	}
	return hpkeCiphertext{enc, ct}, nil
}

// decryptWithLabel is DecryptWithLabel of RFC 9420 5.1.3.
func (s *suite) decryptWithLabel(key *hpkeKey, label string, context []byte, c hpkeCiphertext) ([]byte, error) {
	recipient, err := hpke.NewRecipient(c.kemOutput, key.parsed, s.kdf, s.aead, encryptContext(label, context))
	if err != nil {
		return nil, invalid("HPKE encapsulation: %w", err)
	}
	plaintext, err := recipient.Open(nil, c.ciphertext)
	if err != nil {
		return nil, invalid("HPKE ciphertext: %w", err)
	}
	return plaintext, nil
}

func (k *hpkeKey) matches(public hpkePublicKey) bool { return bytes.Equal(k.public, public) }

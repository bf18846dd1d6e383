package mls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// A CipherSuite is the code point of RFC 9420 5.1 and 17.1.
type CipherSuite uint16

// The suites of RFC 9420 17.1. Those of Curve448 (4 and 6) are not implemented.
const (
	X25519_AES128GCM_SHA256_Ed25519        CipherSuite = 0x0001
	P256_AES128GCM_SHA256_P256             CipherSuite = 0x0002
	X25519_CHACHA20POLY1305_SHA256_Ed25519 CipherSuite = 0x0003
	P521_AES256GCM_SHA512_P521             CipherSuite = 0x0005
	P384_AES256GCM_SHA384_P384             CipherSuite = 0x0007
)

// Suites whose confidentiality stands against quantum computers too, at private-use
// code points: no registry has given them others yet. AssignCodePoint lets them have
// those of a peer.
const (
	// The default: X-Wing (ML-KEM-768 with X25519, HPKE KEM 0x647a).
	XWING_CHACHA20POLY1305_SHA256_Ed25519 CipherSuite = 0xF001
	XWING_AES256GCM_SHA512_Ed25519        CipherSuite = 0xF002
	XWING_CHACHA20POLY1305_SHA512_Ed25519 CipherSuite = 0xF003

	// Those of draft-ietf-mls-pq-ciphersuites, TBD1 to TBD8.
	MLKEM768X25519_AES128GCM_SHA256_Ed25519 CipherSuite = 0xF011
	MLKEM768X25519_AES256GCM_SHA384_Ed25519 CipherSuite = 0xF012
	MLKEM768P256_AES128GCM_SHA256_P256      CipherSuite = 0xF013
	MLKEM768P256_AES256GCM_SHA384_P256      CipherSuite = 0xF014
	MLKEM1024P384_AES256GCM_SHA384_P384     CipherSuite = 0xF015
	MLKEM768_AES256GCM_SHA384_Ed25519       CipherSuite = 0xF016
	MLKEM768_AES256GCM_SHA384_P256          CipherSuite = 0xF017
	MLKEM1024_AES256GCM_SHA384_P384         CipherSuite = 0xF018
)

// suite holds the algorithms of one CipherSuite. Sizes are in bytes.
type suite struct {
	id      CipherSuite
	kem     hpke.KEM
	kdf     hpke.KDF
	aead    hpke.AEAD
	newAEAD func(key []byte) (cipher.AEAD, error)
	newHash func() hash.Hash
	nh      int // hash output, and every secret of the key schedule
	nk      int // AEAD key; the nonce is 12 in every suite

	curve   elliptic.Curve   // of ECDSA; nil for Ed25519
	sigHash func() hash.Hash // of ECDSA: that of the curve's size, not the suite's
}

const nonceSize = 12

// params returns the algorithms of cs, or ErrUnsupported.
func (cs CipherSuite) params() (*suite, error) {
	s := cs.meaning().algorithms()
	if s == nil {
		return nil, unsupported("cipher suite %#04x", uint16(cs))
	}
	s.id = cs
	return s, nil
}

// algorithms is nil for what is not implemented.
func (cs CipherSuite) algorithms() *suite {
	switch cs {
	case X25519_AES128GCM_SHA256_Ed25519:
		return sha256Suite(hpke.DHKEM(ecdh.X25519())).aes(16)
	case P256_AES128GCM_SHA256_P256:
		return sha256Suite(hpke.DHKEM(ecdh.P256())).aes(16).ecdsa(elliptic.P256(), sha256.New)
	case X25519_CHACHA20POLY1305_SHA256_Ed25519:
		return sha256Suite(hpke.DHKEM(ecdh.X25519())).chacha()
	case P521_AES256GCM_SHA512_P521:
		return sha512Suite(hpke.DHKEM(ecdh.P521())).aes(32).ecdsa(elliptic.P521(), sha512.New)
	case P384_AES256GCM_SHA384_P384:
		return sha384Suite(hpke.DHKEM(ecdh.P384())).aes(32).ecdsa(elliptic.P384(), sha512.New384)
	case XWING_CHACHA20POLY1305_SHA256_Ed25519:
		return sha256Suite(hpke.MLKEM768X25519()).chacha()
	case XWING_AES256GCM_SHA512_Ed25519:
		return sha512Suite(hpke.MLKEM768X25519()).aes(32)
	case XWING_CHACHA20POLY1305_SHA512_Ed25519:
		return sha512Suite(hpke.MLKEM768X25519()).chacha()
	case MLKEM768X25519_AES128GCM_SHA256_Ed25519:
		return sha256Suite(hpke.MLKEM768X25519()).aes(16)
	case MLKEM768X25519_AES256GCM_SHA384_Ed25519:
		return sha384Suite(hpke.MLKEM768X25519()).aes(32)
	case MLKEM768P256_AES128GCM_SHA256_P256:
		return sha256Suite(hpke.MLKEM768P256()).aes(16).ecdsa(elliptic.P256(), sha256.New)
	case MLKEM768P256_AES256GCM_SHA384_P256:
		return sha384Suite(hpke.MLKEM768P256()).aes(32).ecdsa(elliptic.P256(), sha256.New)
	case MLKEM1024P384_AES256GCM_SHA384_P384:
		return sha384Suite(hpke.MLKEM1024P384()).aes(32).ecdsa(elliptic.P384(), sha512.New384)
	case MLKEM768_AES256GCM_SHA384_Ed25519:
		return sha384Suite(hpke.MLKEM768()).aes(32)
	case MLKEM768_AES256GCM_SHA384_P256:
		return sha384Suite(hpke.MLKEM768()).aes(32).ecdsa(elliptic.P256(), sha256.New)
	case MLKEM1024_AES256GCM_SHA384_P384:
		return sha384Suite(hpke.MLKEM1024()).aes(32).ecdsa(elliptic.P384(), sha512.New384)
	}
	return nil
}

func sha256Suite(kem hpke.KEM) *suite {
	return &suite{kem: kem, kdf: hpke.HKDFSHA256(), newHash: sha256.New, nh: 32}
}

func sha384Suite(kem hpke.KEM) *suite {
	return &suite{kem: kem, kdf: hpke.HKDFSHA384(), newHash: sha512.New384, nh: 48}
}

func sha512Suite(kem hpke.KEM) *suite {
	return &suite{kem: kem, kdf: hpke.HKDFSHA512(), newHash: sha512.New, nh: 64}
}

func (s *suite) aes(keySize int) *suite {
	s.aead, s.newAEAD, s.nk = hpke.AES128GCM(), newGCM, keySize
	if keySize == 32 {
		s.aead = hpke.AES256GCM()
	}
	return s
}

func (s *suite) chacha() *suite {
	s.aead, s.newAEAD, s.nk = hpke.ChaCha20Poly1305(), chacha20poly1305.New, chacha20poly1305.KeySize
	return s
}

func (s *suite) ecdsa(curve elliptic.Curve, h func() hash.Hash) *suite {
	s.curve, s.sigHash = curve, h
	return s
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s *suite) hash(data []byte) []byte {
	h := s.newHash()
	h.Write(data)
	return h.Sum(nil)
}

// mac is the MAC of RFC 9420 5.2: HMAC with the suite's hash.
func (s *suite) mac(key, data []byte) []byte {
	m := hmac.New(s.newHash, key)
	m.Write(data)
	return m.Sum(nil)
}

// verifyMAC compares in constant time.
func (s *suite) verifyMAC(key, data, tag []byte) bool {
	return hmac.Equal(s.mac(key, data), tag)
}

// sealAEAD is AEAD.Encrypt (RFC 5116). The key has the suite's size by construction.
func (s *suite) sealAEAD(key, nonce, aad, plaintext []byte) []byte {
	aead, err := s.newAEAD(key)
	if err != nil {
		panic(fmt.Sprintf("mls: AEAD key: %v", err))
	}
	return aead.Seal(nil, nonce, plaintext, aad)
}

func (s *suite) openAEAD(key, nonce, aad, ciphertext []byte) ([]byte, error) {
	aead, err := s.newAEAD(key)
	if err != nil {
		panic(fmt.Sprintf("mls: AEAD key: %v", err))
	}
	return aead.Open(nil, nonce, ciphertext, aad)
}

// extract is KDF.Extract of RFC 9420 5.1.
func (s *suite) extract(salt, ikm []byte) []byte {
	prk, err := hkdf.Extract(s.newHash, ikm, salt)
	if err != nil {
		panic(fmt.Sprintf("mls: HKDF-Extract: %v", err)) // only in FIPS-only mode, which refuses short keys
	}
	return prk
}

// expandWithLabel is ExpandWithLabel of RFC 9420 8. n is at most 255 hash lengths
// and is checked by the one caller, Export, that takes it from outside.
func (s *suite) expandWithLabel(secret []byte, label string, context []byte, n int) []byte {
	w := writer{buf: make([]byte, 0, 16+len(label)+len(context))}
	w.uint16(uint16(n))
	w.opaque([]byte("MLS 1.0 " + label))
	w.opaque(context)
	out, err := hkdf.Expand(s.newHash, secret, string(w.buf), n)
	if err != nil {
		panic(fmt.Sprintf("mls: HKDF-Expand: %v", err))
	}
	return out
}

// deriveSecret is DeriveSecret of RFC 9420 8.
func (s *suite) deriveSecret(secret []byte, label string) []byte {
	return s.expandWithLabel(secret, label, nil, s.nh)
}

// refHash is RefHash of RFC 9420 5.2.
func (s *suite) refHash(label string, value []byte) []byte {
	var w writer
	w.opaque([]byte(label))
	w.opaque(value)
	return s.hash(w.buf)
}

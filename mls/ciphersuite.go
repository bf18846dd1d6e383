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

// The suites implemented. Those of Curve448 (4 and 6) are not.
const (
	X25519_AES128GCM_SHA256_Ed25519        CipherSuite = 0x0001
	P256_AES128GCM_SHA256_P256             CipherSuite = 0x0002
	X25519_CHACHA20POLY1305_SHA256_Ed25519 CipherSuite = 0x0003
	P521_AES256GCM_SHA512_P521             CipherSuite = 0x0005
	P384_AES256GCM_SHA384_P384             CipherSuite = 0x0007

	// The default: confidentiality against quantum computers too. The KEM is
	// ML-KEM-768 with X25519 (X-Wing, HPKE KEM 0x647a); a private-use code point.
	XWING_CHACHA20POLY1305_SHA256_Ed25519 CipherSuite = 0xF001
)

// suite holds the algorithms of one CipherSuite. Sizes are in bytes.
type suite struct {
	id      CipherSuite
	kem     hpke.KEM
	kdf     hpke.KDF
	aead    hpke.AEAD
	newAEAD func(key []byte) (cipher.AEAD, error)
	newHash func() hash.Hash
	nh      int            // hash output, and every secret of the key schedule
	nk      int            // AEAD key; the nonce is 12 in every suite
	curve   elliptic.Curve // of ECDSA; nil for Ed25519
}

const nonceSize = 12

// params returns the algorithms of cs, or ErrUnsupported.
func (cs CipherSuite) params() (*suite, error) {
	switch cs {
	case X25519_AES128GCM_SHA256_Ed25519:
		return &suite{cs, hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES128GCM(), newGCM, sha256.New, 32, 16, nil}, nil
	case P256_AES128GCM_SHA256_P256:
		return &suite{cs, hpke.DHKEM(ecdh.P256()), hpke.HKDFSHA256(), hpke.AES128GCM(), newGCM, sha256.New, 32, 16, elliptic.P256()}, nil
	case X25519_CHACHA20POLY1305_SHA256_Ed25519:
		return &suite{cs, hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), chacha20poly1305.New, sha256.New, 32, 32, nil}, nil
	case P521_AES256GCM_SHA512_P521:
		return &suite{cs, hpke.DHKEM(ecdh.P521()), hpke.HKDFSHA512(), hpke.AES256GCM(), newGCM, sha512.New, 64, 32, elliptic.P521()}, nil
	case P384_AES256GCM_SHA384_P384:
		return &suite{cs, hpke.DHKEM(ecdh.P384()), hpke.HKDFSHA384(), hpke.AES256GCM(), newGCM, sha512.New384, 48, 32, elliptic.P384()}, nil
	case XWING_CHACHA20POLY1305_SHA256_Ed25519:
		return &suite{cs, hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), chacha20poly1305.New, sha256.New, 32, 32, nil}, nil
	}
	return nil, unsupported("cipher suite %#04x", uint16(cs))
}

// Supported says whether this package implements cs.
func (cs CipherSuite) Supported() bool {
	_, err := cs.params()
	return err == nil
}

// CipherSuites lists the suites of this package, the default first.
func CipherSuites() []CipherSuite {
	return []CipherSuite{
		XWING_CHACHA20POLY1305_SHA256_Ed25519,
		X25519_CHACHA20POLY1305_SHA256_Ed25519,
		X25519_AES128GCM_SHA256_Ed25519,
		P256_AES128GCM_SHA256_P256,
		P384_AES256GCM_SHA384_P384,
		P521_AES256GCM_SHA512_P521,
	}
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

package mls

import "sync"

// assigned are the code points that AssignCodePoint gave out.
var assigned sync.Map

// AssignCodePoint makes code another name of cs, for peers that know it by another
// number than this package does: once for a program, before the suite is used, and
// never two meanings for one number. Numbers that RFC 9420 gives away, or this package,
// are refused.
func (cs CipherSuite) AssignCodePoint(code CipherSuite) error {
	if cs.algorithms() == nil {
		return unsupported("cipher suite %#04x", uint16(cs))
	}
	if code <= P384_AES256GCM_SHA384_P384 || code.algorithms() != nil || code.isGREASE() {
		return refused("code point %#04x is taken", uint16(code))
	}
	if old, taken := assigned.LoadOrStore(code, cs); taken && old != cs {
		return refused("code point %#04x is suite %#04x already", uint16(code), uint16(old.(CipherSuite)))
	}
	return nil
}

// meaning is the suite that a code point was assigned to, or itself.
func (cs CipherSuite) meaning() CipherSuite {
	if other, ok := assigned.Load(cs); ok {
		return other.(CipherSuite)
	}
	return cs
}

// Supported says whether this package implements cs.
func (cs CipherSuite) Supported() bool { return cs.meaning().algorithms() != nil }

// CipherSuites lists the suites of this package, the default first.
func CipherSuites() []CipherSuite {
	return []CipherSuite{
		XWING_CHACHA20POLY1305_SHA256_Ed25519,
		X25519_CHACHA20POLY1305_SHA256_Ed25519,
		X25519_AES128GCM_SHA256_Ed25519,
		P256_AES128GCM_SHA256_P256,
		P384_AES256GCM_SHA384_P384,
		P521_AES256GCM_SHA512_P521,
		XWING_AES256GCM_SHA512_Ed25519,
		XWING_CHACHA20POLY1305_SHA512_Ed25519,
		MLKEM768X25519_AES128GCM_SHA256_Ed25519,
		MLKEM768X25519_AES256GCM_SHA384_Ed25519,
		MLKEM768P256_AES128GCM_SHA256_P256,
		MLKEM768P256_AES256GCM_SHA384_P256,
		MLKEM1024P384_AES256GCM_SHA384_P384,
		MLKEM768_AES256GCM_SHA384_Ed25519,
		MLKEM768_AES256GCM_SHA384_P256,
		MLKEM1024_AES256GCM_SHA384_P384,
	}
}

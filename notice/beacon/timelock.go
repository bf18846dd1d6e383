package beacon

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// TimelockSize is the size of a timelock in bytes.
const TimelockSize = PublicKeySize + 2*saltSize

const saltSize = 32

// Tags of drand's identity-based encryption.
const (
	tagH2 = "IBE-H2"
	tagH3 = "IBE-H3"
	tagH4 = "IBE-H4"
)

// Lock encrypts a salt to a round of the beacon with that key. With g the
// generator of G2, H1 as in the package comment, and || between bytes:
//
//	sigma = H("writ/v1 timelock", key, uint64 round, salt)
//	r     = H3(sigma, salt)
//	U     = r * g                                                96 bytes
//	V     = sigma XOR SHA-256("IBE-H2" || e(H1(round), key)^r)   32 bytes
//	W     = salt XOR SHA-256("IBE-H4" || sigma)                  32 bytes
//
// Only sigma is our own choice: tlock takes it at random. A salt must be uniformly
// random, for who guesses it can recompute the timelock.
func Lock(key *PublicKey, round uint64, salt [32]byte) ([]byte, error) {
	if round == 0 {
		return nil, invalid("round 0")
	}
	sigma := wire.Hash("timelock", key.Bytes(), binary.BigEndian.AppendUint64(nil, round), salt[:])
	defer clear(sigma[:])
	return encrypt(key, round, sigma[:], salt[:]), nil
}

// Check recomputes the timelock of a salt and compares every byte.
func Check(timelock []byte, key *PublicKey, round uint64, salt [32]byte) error {
	want, err := Lock(key, round, salt)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want, timelock) != 1 {
		return invalid("not the timelock of this salt, round and beacon")
	}
	return nil
}

// Unlock returns the salt of a timelock, given the signature of its round.
func Unlock(timelock []byte, s *Signature) ([32]byte, error) {
	if len(timelock) != TimelockSize {
		return [32]byte{}, malformed("timelock of %d bytes", len(timelock))
	}
	salt, err := decrypt(timelock, &s.point)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(salt), nil
}

// encrypt returns U || V || W for a message of at most 32 bytes and as many
// bytes sigma. It computes e(H1, key)^r as e(r*H1, key).
func encrypt(key *PublicKey, round uint64, sigma, message []byte) []byte {
	r := h3(sigma, message)
	defer clearScalars(&r)
	u := secretG2(&r)
	id := identity(round)
	pad := h2(secretG1(&id, &r), key.point)
	v := make([]byte, len(sigma))
	subtle.XORBytes(v, sigma, pad[:])
	pad = h4(sigma)
	w := make([]byte, len(message))
	subtle.XORBytes(w, message, pad[:])
	head := u.Bytes()
	return append(append(head[:], v...), w...)
}

// decrypt undoes encrypt, given the signature of the round. It recomputes U,
// which no other V or W gives (Fujisaki and Okamoto).
func decrypt(b []byte, signature *bls.G1Affine) ([]byte, error) {
	head, body := b[:PublicKeySize], b[PublicKeySize:]
	v, w := body[:len(body)/2], body[len(body)/2:]
	u, err := parseG2(head)
	if err != nil {
		return nil, err
	}
	sigma, message := make([]byte, len(v)), make([]byte, len(w))
	pad := h2(*signature, u)
	subtle.XORBytes(sigma, v, pad[:])
	pad = h4(sigma)
	subtle.XORBytes(message, w, pad[:])
	r := h3(sigma, message)
	var again bls.G2Affine // everybody may compute it now: no time to hide
	multiply(&r, func(n scalar) { again.ScalarMultiplicationBase(n) })
	if c := again.Bytes(); !bytes.Equal(c[:], head) {
		return nil, invalid("the signature does not open the timelock")
	}
	return message, nil
}

// h2 hashes e(p, q) in gnark-crypto's order of coefficients, highest first,
// which is drand's.
func h2(p bls.G1Affine, q bls.G2Affine) [32]byte {
	gt, err := bls.Pair([]bls.G1Affine{p}, []bls.G2Affine{q})
	if err != nil {
		panic("beacon: " + err.Error()) // only lists of different lengths fail
	}
	b := gt.Bytes()
	defer clear(b[:])
	return sha256.Sum256(append([]byte(tagH2), b[:]...))
}

// h3 returns the first SHA-256(uint16 i, little endian || SHA-256("IBE-H3" ||
// sigma || message)), i = 1, 2, ..., that is a scalar below the order when its
// first byte is shifted right by one bit.
func h3(sigma, message []byte) (r fr.Element) {
	h := sha256.New()
	h.Write([]byte(tagH3))
	h.Write(sigma)
	h.Write(message)
	inner := h.Sum(nil)
	for i := uint16(1); ; i++ {
		b := sha256.Sum256(append(binary.LittleEndian.AppendUint16(nil, i), inner...))
		b[0] >>= 1
		if r.SetBytesCanonical(b[:]) == nil {
			return r
		}
	}
}

func h4(sigma []byte) [32]byte { return sha256.Sum256(append([]byte(tagH4), sigma...)) }

package capsule

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"github.com/cloudflare/circl/kem/xwing"
	"golang.org/x/crypto/chacha20poly1305"

	"writ/charter"
)

// The sender's side of HPKE with given coins, which crypto/hpke can't do. What
// it seals, crypto/hpke opens.

const (
	kdfID  = 0x0001 // HKDF-SHA256
	aeadID = 0x0003 // ChaCha20-Poly1305

	sharedSize = 32
	p256Size   = 65 // uncompressed point, SEC 1 section 2.3.3
	p256Scalar = 32
	p256Tries  = 4
	maxEncSize = mlkem768.CiphertextSize + p256Size
)

// recipient is a custodian's parsed public key.
type recipient struct {
	kem   charter.KEM
	xwing *xwing.PublicKey // if kem is X-Wing
	mlkem *mlkem768.PublicKey
	point *ecdh.PublicKey
}

func parseRecipient(kem charter.KEM, key []byte) (r recipient, err error) {
	if len(key) != kem.PublicKeySize() {
		return r, fmt.Errorf("capsule: %w: public key of %d bytes for KEM %#04x", ErrInvalid, len(key), uint16(kem))
	}
	r.kem = kem
	switch kem {
	case charter.XWing:
		r.xwing = new(xwing.PublicKey)
		err = r.xwing.Unpack(key)
		leaveAVX()
	case charter.MLKEM768P256:
		r.mlkem = new(mlkem768.PublicKey)
		err = r.mlkem.Unpack(key[:mlkem768.PublicKeySize])
		leaveAVX()
		if err == nil {
			r.point, err = ecdh.P256().NewPublicKey(key[mlkem768.PublicKeySize:])
		}
	default:
		err = fmt.Errorf("unsupported KEM %#04x", uint16(kem))
	}
	if err != nil {
		return recipient{}, fmt.Errorf("capsule: %w: public key: %w", ErrInvalid, err)
	}
	return r, nil
}

// encSize returns the size of the encapsulated key.
func (r *recipient) encSize() int {
	if r.kem == charter.XWing {
		return xwing.CiphertextSize
	}
	return mlkem768.CiphertextSize + p256Size
}

// coinSize returns the size of the seed of one encapsulation.
func (r *recipient) coinSize() int {
	if r.kem == charter.XWing {
		return xwing.EncapsulationSeedSize
	}
	return mlkem768.EncapsulationSeedSize + p256Tries*p256Scalar
}

// encapsulate writes the encapsulated key to enc and returns the shared secret,
// both functions of the coins.
func (r *recipient) encapsulate(enc, coins []byte) (shared [sharedSize]byte, err error) {
	if r.kem == charter.XWing {
		r.xwing.EncapsulateTo(enc, shared[:], coins)
		leaveAVX()
		return shared, nil
	}
	return r.encapsulateP256(enc, coins)
}

// encapsulateP256 is EncapsDerand of MLKEM768-P256 (draft-irtf-cfrg-concrete-
// hybrid-kems), as crypto/hpke combines it: SHA3-256(ss_PQ || ss_T || ct_T ||
// ek_T || "MLKEM768-P256"). The coins are the ML-KEM seed, then scalars to try.
func (r *recipient) encapsulateP256(enc, coins []byte) (shared [sharedSize]byte, err error) {
	var pq [mlkem768.SharedKeySize]byte
	defer clear(pq[:])
	r.mlkem.EncapsulateTo(enc[:mlkem768.CiphertextSize], pq[:], coins[:mlkem768.EncapsulationSeedSize])
	leaveAVX()
	ephemeral, err := p256Key(coins[mlkem768.EncapsulationSeedSize:])
	if err != nil {
		return shared, err
	}
	t, err := ephemeral.ECDH(r.point)
	if err != nil {
		return shared, err
	}
	defer clear(t)
	point := ephemeral.PublicKey().Bytes()
	copy(enc[mlkem768.CiphertextSize:], point)
	h := sha3.New256()
	for _, part := range [][]byte{pq[:], t, point, r.point.Bytes(), []byte("MLKEM768-P256")} {
		h.Write(part)
	}
	h.Sum(shared[:0])
	return shared, nil
}

// p256Key takes the first scalar between 1 and the group order less 1. None of
// four is with probability 2^-128.
func p256Key(scalars []byte) (*ecdh.PrivateKey, error) {
	for ; len(scalars) >= p256Scalar; scalars = scalars[p256Scalar:] {
		if k, err := ecdh.P256().NewPrivateKey(scalars[:p256Scalar]); err == nil {
			return k, nil
		}
	}
	return nil, errors.New("capsule: no scalar below the order of P-256")
}

// schedule is what the key schedule of RFC 9180 section 5.1 has in common for
// all recipients of one KEM under one info.
type schedule struct {
	suite   [10]byte // suite_id, section 5.1
	context []byte   // key_schedule_context
}

func newSchedule(kem charter.KEM, info []byte) (*schedule, error) {
	s := new(schedule)
	copy(s.suite[:], "HPKE")
	binary.BigEndian.PutUint16(s.suite[4:], uint16(kem))
	binary.BigEndian.PutUint16(s.suite[6:], kdfID)
	binary.BigEndian.PutUint16(s.suite[8:], aeadID)
	pskIDHash, err := s.extract(nil, "psk_id_hash", nil)
	if err != nil {
		return nil, err
	}
	infoHash, err := s.extract(nil, "info_hash", info)
	if err != nil {
		return nil, err
	}
	s.context = append(s.context, 0) // mode_base
	s.context = append(s.context, pskIDHash...)
	s.context = append(s.context, infoHash...)
	return s, nil
}

// seal is the rest of KeySchedule and Context.Seal of section 5.2 with sequence
// number 0: it appends the ciphertext to dst.
func (s *schedule) seal(dst, shared, aad, plaintext []byte) ([]byte, error) {
	secret, err := s.extract(shared, "secret", nil)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := s.expand(secret, "key", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	nonce, err := s.expand(secret, "base_nonce", chacha20poly1305.NonceSize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, nonce, plaintext, aad), nil
}

// extract is LabeledExtract of section 4.
func (s *schedule) extract(salt []byte, label string, ikm []byte) ([]byte, error) {
	labeled := make([]byte, 0, 96)
	labeled = append(labeled, "HPKE-v1"...)
	labeled = append(labeled, s.suite[:]...)
	labeled = append(labeled, label...)
	labeled = append(labeled, ikm...)
	return hkdf.Extract(sha256.New, labeled, salt)
}

// expand is LabeledExpand of section 4 with key_schedule_context as info.
func (s *schedule) expand(prk []byte, label string, size int) ([]byte, error) {
	info := make([]byte, 0, 128)
	info = binary.BigEndian.AppendUint16(info, uint16(size))
	info = append(info, "HPKE-v1"...)
	info = append(info, s.suite[:]...)
	info = append(info, label...)
	info = append(info, s.context...)
	return hkdf.Expand(sha256.New, prk, string(info), size)
}

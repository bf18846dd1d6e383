package mls

import (
	"crypto/rand"
	"fmt"

	"crypto/hpke"
)

// epochSecrets are the secrets of RFC 9420 8 that a member keeps for an epoch,
// each of the suite's hash length. The encryption secret goes into the secretTree.
type epochSecrets struct {
	senderData     []byte
	exporter       []byte
	external       []byte
	confirmation   []byte
	membership     []byte
	resumption     []byte
	authentication []byte
	init           []byte // of the next epoch
}

// all lists the secrets in the order in which they are stored.
func (e *epochSecrets) all() []*[]byte {
	return []*[]byte{&e.senderData, &e.exporter, &e.external, &e.confirmation, &e.membership, &e.resumption, &e.authentication, &e.init}
}

func (e *epochSecrets) erase() {
	for _, s := range e.all() {
		clear(*s)
	}
}

// joinerSecret is the first half of figure 22 of RFC 9420 8.
func (s *suite) joinerSecret(init, commit, groupContext []byte) []byte {
	intermediate := s.extract(init, commit)
	defer clear(intermediate)
	return s.expandWithLabel(intermediate, "joiner", groupContext, s.nh)
}

// welcomeSecret is welcome_secret of RFC 9420 8.
func (s *suite) welcomeSecret(joiner, psk []byte) []byte {
	member := s.extract(joiner, psk)
	defer clear(member)
	return s.deriveSecret(member, "welcome")
}

// epochSecret is epoch_secret of RFC 9420 8.
func (s *suite) epochSecret(joiner, psk, groupContext []byte) []byte {
	member := s.extract(joiner, psk)
	defer clear(member)
	return s.expandWithLabel(member, "epoch", groupContext, s.nh)
}

// deriveEpoch derives table 4 of RFC 9420 8 and erases the epoch secret.
func (s *suite) deriveEpoch(epoch []byte) (secrets epochSecrets, encryption []byte) {
	defer clear(epoch)
	return epochSecrets{
		senderData:     s.deriveSecret(epoch, "sender data"),
		exporter:       s.deriveSecret(epoch, "exporter"),
		external:       s.deriveSecret(epoch, "external"),
		confirmation:   s.deriveSecret(epoch, "confirm"),
		membership:     s.deriveSecret(epoch, "membership"),
		resumption:     s.deriveSecret(epoch, "resumption"),
		authentication: s.deriveSecret(epoch, "authentication"),
		init:           s.deriveSecret(epoch, "init"),
	}, s.deriveSecret(epoch, "encryption")
}

// export is MLS-Exporter of RFC 9420 8.5; n is at most 255 hash lengths.
func (s *suite) export(exporter []byte, label string, context []byte, n int) ([]byte, error) {
	if n < 0 || n > 255*s.nh || n > 0xffff {
		return nil, invalid("export of %d bytes", n)
	}
	secret := s.deriveSecret(exporter, label)
	defer clear(secret)
	return s.expandWithLabel(secret, "exported", s.hash(context), n), nil
}

// externalKey is external_priv of RFC 9420 8.3.
func (s *suite) externalKey(external []byte) (*hpkeKey, error) { return s.deriveHPKEKey(external) }

const externalInitLabel = "MLS 1.0 external init secret"

// openExternalInit is the member's half of RFC 9420 8.3.
func (s *suite) openExternalInit(external, kemOutput []byte) ([]byte, error) {
	key, err := s.externalKey(external)
	if err != nil {
		return nil, err
	}
	defer key.erase()
	recipient, err := hpke.NewRecipient(kemOutput, key.parsed, s.kdf, s.aead, nil)
	if err != nil {
		return nil, invalid("external init: %w", err)
	}
	return recipient.Export(externalInitLabel, s.nh)
}

// randomSecret is a fresh secret of the hash length.
func (s *suite) randomSecret() []byte { return randomBytes(s.nh) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("mls: no randomness: %v", err)) // crypto/rand itself doesn't return then
	}
	return b
}

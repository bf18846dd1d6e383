package operator

import "writ/notice/beacon"

// KeysWith returns keys in memory that hold one share.
func KeysWith(name string, signer beacon.OperatorSigner, mail *beacon.MailOpener, g *beacon.Group, s *beacon.Share) *Keys {
	return &Keys{name: name, signer: signer, mail: mail, held: []held{{g, s}}}
}

// ParseKeys and EncodeKeys are for the fuzzer.
func ParseKeys(b []byte) (*Keys, error) { return parseKeys(b) }

// Encode is what the key file holds.
func (k *Keys) Encode() []byte { return k.encode() }

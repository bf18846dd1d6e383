package mls

import "slices"

// A Client is who somebody is before being a member: the keys that prove it (RFC 9420
// 2) and what its leaves carry. Everything a Client makes is of the suite of its Key.
type Client struct {
	Credential     Credential
	Key            *SignatureKey
	Extensions     []Extension     // of its leaves, seen by every group it is in
	ExtensionTypes []ExtensionType // supported beyond the defaults and Extensions
	Lifetime       Lifetime        // of key packages; a founder's is checked by nobody
	GREASE         bool            // list code points that mean nothing (RFC 9420 13.5)
}

// suite is the suite of everything that c makes.
func (c Client) suite() (*suite, error) {
	if c.Key == nil {
		return nil, refused("Client without a Key")
	}
	return c.Key.suite, nil
}

// supporting lists the types of extensions among those that c's leaves support.
func (c Client) supporting(extensions []Extension) Client {
	c.ExtensionTypes = slices.Clone(c.ExtensionTypes)
	for _, e := range extensions {
		if !e.Type.isDefault() && !slices.Contains(c.ExtensionTypes, e.Type) {
			c.ExtensionTypes = append(c.ExtensionTypes, e.Type)
		}
	}
	return c
}

// leaf makes an unsigned leaf node of source key_package.
func (c Client) leaf(encryption hpkePublicKey) *LeafNode {
	suites := CipherSuites()
	if !slices.Contains(suites, c.Key.suite.id) {
		suites = append(suites, c.Key.suite.id) // an assigned code point
	}
	l := &LeafNode{
		EncryptionKey: encryption,
		SignatureKey:  c.Key.public,
		Credential:    c.Credential,
		Capabilities: Capabilities{
			Versions:    []uint16{protocolVersion},
			Suites:      suites,
			Extensions:  c.supporting(c.Extensions).ExtensionTypes,
			Credentials: []uint16{c.Credential.kind()},
		},
		Lifetime:   c.Lifetime,
		Extensions: c.Extensions,
		source:     sourceKeyPackage,
	}
	if c.GREASE {
		l.grease()
	}
	return l
}

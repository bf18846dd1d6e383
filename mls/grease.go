package mls

import "slices"

// GREASE values are code points that mean nothing, which a client lists so that others
// don't forget to ignore what they don't know (RFC 9420 13.5).
func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff && v != 0xfafa }

func (cs CipherSuite) isGREASE() bool { return isGREASE(uint16(cs)) }

func randomGREASE() uint16 { return 0x0a0a + 0x1010*uint16(randomBytes(1)[0]%15) }

// grease puts a random GREASE value into each list, and one extension into the leaf.
func (l *LeafNode) grease() {
	c := &l.Capabilities
	e := ExtensionType(randomGREASE())
	c.Suites = insertGREASE(c.Suites, CipherSuite(randomGREASE()))
	c.Proposals = insertGREASE(c.Proposals, randomGREASE())
	c.Credentials = insertGREASE(c.Credentials, randomGREASE())
	c.Extensions = insertGREASE(c.Extensions, e)
	l.Extensions = append(slices.Clone(l.Extensions), Extension{e, randomBytes(4)})
}

func insertGREASE[T ~uint16](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return slices.Insert(slices.Clone(list), int(randomBytes(1)[0])%(len(list)+1), v)
}

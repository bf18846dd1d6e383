package directory

import (
	"crypto/sha512"
	"fmt"
	"strings"

	"writ/internal/wire"
)

// safetyRounds makes a search for a colliding number dearer. It is Signal's.
const safetyRounds = 5200

// SafetyNumber returns 60 digits in twelve groups of five, which two people
// compare in person or over a call. It is the same for both orders of the
// accounts. Each account's half is over its newest statement and so over its
// devices, its recovery key and its whole history: if the numbers agree, both
// see the same devices of both. It changes when either changes devices.
func SafetyNumber(a, b *Chain) string {
	x, y := safetyHalf(a), safetyHalf(b)
	if x > y {
		x, y = y, x
	}
	return x + " " + y
}

// safetyHalf is an account's 30 digits: of an iterated SHA-512 the first 30
// bytes, each five of them an integer modulo 100000, as in Signal's numeric
// fingerprints.
func safetyHalf(c *Chain) string {
	var w wire.Writer
	w.String(c.Account())
	h := c.Newest().Hash()
	w.Fixed(h[:])
	input := wire.SignContent("safety number", w.Bytes())
	digest := sha512.Sum512(input)
	for range safetyRounds - 1 {
		digest = sha512.Sum512(append(digest[:], input...))
	}
	var groups []string
	for i := 0; i < 30; i += 5 {
		n := uint64(0)
		for _, b := range digest[i : i+5] {
			n = n<<8 | uint64(b)
		}
		groups = append(groups, fmt.Sprintf("%05d", n%100000))
	}
	return strings.Join(groups, " ")
}

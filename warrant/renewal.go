package warrant

import "slices"

// Original encodes a warrant that another renews, with the salt of its
// commitment: salt[32] || warrant.
func Original(w *Warrant, salt [32]byte) []byte { return slices.Concat(salt[:], w.Encode()) }

// CheckRenewal checks that a warrant renews what it says: original is of the
// commitment that it names and of the same subject, or empty where it renews
// none. A new warrant for another person can't pass as a renewal.
func (w *Warrant) CheckRenewal(original []byte) error {
	if w.Renews == [32]byte{} {
		if len(original) > 0 {
			return refused("it renews no warrant, and one comes with it")
		}
		return nil
	}
	if len(original) < 32 {
		return refused("the warrant that it renews is missing")
	}
	salt, encoded := [32]byte(original), original[32:]
	if Commitment(salt, HashOf(encoded)) != w.Renews {
		return refused("it renews another warrant than the one that comes with it")
	}
	old, err := Parse(encoded)
	switch {
	case err != nil:
		return err
	case old.Subject != w.Subject:
		return refused("it renews the warrant of another person")
	}
	return nil
}

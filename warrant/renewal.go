package warrant

// CheckRenewal checks that a warrant renews what it says: original ([Salted]) is of the
// commitment that it names and of the same subject, or empty where it renews
// none. A new warrant for another person can't pass as a renewal.
func (w *Warrant) CheckRenewal(original []byte) error {
	if w.Renews == [32]byte{} {
		if len(original) > 0 {
			return refused("it renews no warrant, and one comes with it")
		}
		return nil
	}
	if len(original) == 0 {
		return refused("the warrant that it renews is missing")
	}
	old, salt, err := ParseSalted(original)
	switch {
	case err != nil:
		return err
	case Commitment(salt, old.Hash()) != w.Renews:
		return refused("it renews another warrant than the one that comes with it")
	case old.Subject != w.Subject:
		return refused("it renews the warrant of another person")
	}
	return nil
}

package capsule

import (
	"fmt"

	"writ/charter"
)

// PrivilegedExtension is the MLS group context extension that marks a
// conversation as privileged, such as one with a lawyer. It is empty, set when the
// conversation is made, and stays.
const PrivilegedExtension = 0xF0A3

// Flags say what holds for a whole conversation.
type Flags uint8

// Privileged is the only flag: a further office must approve what opens it.
const Privileged Flags = 1 << 0

// FlagsOf returns the flags of a conversation, given the data of its
// [PrivilegedExtension], if it has one.
func FlagsOf(data []byte, marked bool) (Flags, error) {
	switch {
	case !marked:
		return 0, nil
	case len(data) > 0:
		return 0, fmt.Errorf("capsule: %w: the mark of a privileged conversation holds %d bytes", ErrInvalid, len(data))
	}
	return Privileged, nil
}

// Admits refuses a law under which nobody can speak in a conversation with these
// flags: the mark would promise what that law doesn't keep.
func (f Flags) Admits(law *charter.Charter) error {
	if f&Privileged != 0 && law.Mode != charter.NoAccess && len(law.Privilege) == 0 {
		return fmt.Errorf("capsule: %w: the law %q knows no privileged conversations", ErrInvalid, law.Name)
	}
	return nil
}

package charter

import (
	"errors"
	"fmt"
)

func (c *Charter) checkKeys() error {
	errs := []error{CheckEd25519(c.Docket[:]), CheckEd25519(c.Delivery[:])}
	for _, o := range c.Offices {
		for _, a := range o.Approvers {
			errs = append(errs, a.checkKeys())
		}
		for _, cu := range o.Custodians {
			errs = append(errs, CheckEd25519(cu.Key[:]), cu.Mail.Check())
		}
	}
	return errors.Join(errs...)
}

func (a *Approver) checkKeys() error {
	mail := a.Mail.Check()
	if a.WebAuthn == nil {
		return errors.Join(mail, CheckEd25519(a.Key[:]))
	}
	if a.Key != (ApproverKey{}) {
		return fmt.Errorf("approver %s has two keys", a.ID)
	}
	return errors.Join(mail, a.WebAuthn.check())
}

func (c *Charter) checkDistinctKeys() error {
	_, err := c.rawKeys()
	return err
}

// keySet holds raw keys that are in use; the value says by whom.
type keySet map[string]string

// add takes one raw key into use, or fails if it is.
func (s keySet) add(owner string, raw []byte) error {
	if other, used := s[string(raw)]; used {
		return fmt.Errorf("%s and %s have the same key", other, owner)
	}
	s[string(raw)] = owner
	return nil
}

// addKEM takes both halves of a hybrid public key into use.
func (s keySet) addKEM(owner string, key []byte) error {
	if len(key) <= mlkemSize {
		return fmt.Errorf("key of %s has %d bytes", owner, len(key))
	}
	return errors.Join(s.add(owner, key[:mlkemSize]), s.add(owner, key[mlkemSize:]))
}

// rawKeys returns all long-term keys of the charter, or fails if two
// are the same.
func (c *Charter) rawKeys() (keySet, error) {
	s := keySet{}
	errs := []error{s.add("docket", c.Docket[:]), s.add("delivery", c.Delivery[:])}
	for _, o := range c.Offices {
		for _, a := range o.Approvers {
			if a.WebAuthn == nil {
				errs = append(errs, s.add(a.ID, a.Key[:]))
			} else {
				errs = append(errs, s.add(a.ID, a.WebAuthn.PublicKey), s.add(a.ID, a.WebAuthn.CredentialID))
			}
			errs = append(errs, s.addKEM(a.ID, a.Mail))
		}
		for _, cu := range o.Custodians {
			errs = append(errs, s.add(cu.ID, cu.Key[:]), s.addKEM(cu.ID, cu.Mail))
		}
	}
	return s, errors.Join(errs...)
}

// HasKey reports whether a raw public key, or half of a hybrid one, is one of the
// charter's long-term keys.
func (c *Charter) HasKey(raw []byte) bool {
	s, _ := c.rawKeys()
	_, ok := s[string(raw)]
	return ok
}

// takeKEM is addKEM that adds both halves or none.
func (s keySet) takeKEM(owner string, key []byte) error {
	_, first := s[string(key[:mlkemSize])]
	_, second := s[string(key[mlkemSize:])]
	if first || second {
		return errors.New("key of " + owner + " is in use already")
	}
	return s.addKEM(owner, key)
}

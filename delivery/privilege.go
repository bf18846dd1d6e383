package delivery

import (
	"writ/capsule"
	"writ/engine"
	"writ/mls"
)

func flagsOf(g *mls.GroupContext) (capsule.Flags, error) {
	return capsule.FlagsOf(g.Extension(capsule.PrivilegedExtension))
}

// checkMark refuses a commit that changes whether a conversation is privileged, or
// brings in a member whose law knows no such conversations.
func (s *Service) checkMark(current *epoch, staged *mls.StagedCommit) error {
	flags, err := flagsOf(&staged.Context)
	switch {
	case err != nil:
		return refused("%v", err)
	case flags != current.flags:
		return refused("a commit can't change whether the conversation is privileged")
	}
	for _, list := range [][]mls.Member{staged.Added, staged.Updated} {
		for _, x := range list {
			m, err := memberOf(x.Leaf)
			if err != nil {
				return err
			}
			if err := s.admits(flags, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) admits(f capsule.Flags, m engine.Member) error {
	law, err := s.lawOf(m)
	if err != nil {
		return err
	}
	if err := f.Admits(law); err != nil {
		return refused("%s/%s: %v", m.Account, m.Device, err)
	}
	return nil
}

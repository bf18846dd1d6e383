package main

import (
	"context"
	"errors"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

func (s *server) Commit(_ context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	o, err := m.options(r)
	if err != nil {
		return nil, err
	}
	m.group.DropPending() // one that the runner never came back to
	c, err := m.group.Commit(o)
	if err != nil {
		return nil, err
	}
	out := &pb.CommitResponse{Commit: c.Message, Welcome: c.Welcome}
	if r.ExternalTree {
		if out.RatchetTree, err = m.treeAfter(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *member) options(r *pb.CommitRequest) (mls.CommitOptions, error) {
	o := mls.CommitOptions{ByReference: true, Private: m.private, WithoutTree: r.ExternalTree}
	if err := m.learn(r.ByReference); err != nil {
		return o, err
	}
	for _, d := range r.ByValue {
		p, err := m.describe(d)
		if err != nil {
			return o, err
		}
		switch {
		case p.Add != nil:
			o.Add = append(o.Add, p.Add)
		case p.Remove != nil:
			o.Remove = append(o.Remove, *p.Remove)
		case p.PSK != nil:
			o.PSKs = append(o.PSKs, *p.PSK)
		case p.GroupContextExtensions != nil:
			o.GroupContextExtensions = p.GroupContextExtensions
		default:
			return o, errors.New("reinit by value is for external signers")
		}
	}
	return o, nil
}

// learn takes in proposals, of which a member may know some.
func (m *member) learn(proposals [][]byte) error {
	for _, p := range proposals {
		if _, err := m.group.HandleProposal(p); err != nil {
			return err
		}
	}
	return nil
}

// treeAfter is the tree that a pending commit leads to: that of a copy which applies it.
func (m *member) treeAfter(c *mls.PendingCommit) ([]byte, error) {
	state, err := m.group.State()
	if err != nil {
		return nil, err
	}
	g, err := mls.LoadGroup(m.psks.config(), state)
	if err != nil {
		return nil, err
	}
	if _, err := g.Apply(g.PendingCommit().Staged); err != nil {
		return nil, err
	}
	return g.RatchetTree(), nil
}

// handle brings a member to the epoch after a commit.
func (m *member) handle(proposals [][]byte, commit []byte) error {
	if err := m.learn(proposals); err != nil {
		return err
	}
	staged, err := m.group.Stage(commit)
	if err != nil {
		return err
	}
	_, err = m.group.Apply(staged)
	return err
}

// handlePending applies a member's own commit.
func (m *member) handlePending() error {
	c := m.group.PendingCommit()
	if c == nil {
		return errors.New("no commit is pending")
	}
	_, err := m.group.Apply(c.Staged)
	return err
}

func (s *server) HandleCommit(_ context.Context, r *pb.HandleCommitRequest) (*pb.HandleCommitResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	if err := m.handle(r.Proposal, r.Commit); err != nil {
		return nil, err
	}
	return &pb.HandleCommitResponse{StateId: r.StateId, EpochAuthenticator: m.group.EpochAuthenticator()}, nil
}

func (s *server) HandlePendingCommit(_ context.Context, r *pb.HandlePendingCommitRequest) (*pb.HandleCommitResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	if err := m.handlePending(); err != nil {
		return nil, err
	}
	return &pb.HandleCommitResponse{StateId: r.StateId, EpochAuthenticator: m.group.EpochAuthenticator()}, nil
}

package main

import (
	"context"
	"errors"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

func (s *server) ReInitCommit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	return s.Commit(ctx, r)
}

func (s *server) HandlePendingReInitCommit(_ context.Context, r *pb.HandlePendingCommitRequest) (*pb.HandleReInitCommitResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	if err := m.handlePending(); err != nil {
		return nil, err
	}
	return s.end(m)
}

func (s *server) HandleReInitCommit(_ context.Context, r *pb.HandleCommitRequest) (*pb.HandleReInitCommitResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	if err := m.handle(r.Proposal, r.Commit); err != nil {
		return nil, err
	}
	return s.end(m)
}

// end makes a key package for the group that comes after a member's.
func (s *server) end(m *member) (*pb.HandleReInitCommitResponse, error) {
	next := m.group.Ended()
	if next == nil {
		return nil, errors.New("the commit did not reinitialise the group")
	}
	n, err := newNewcomer(uint32(next.Suite), m.client.Credential.Identity)
	if err != nil {
		return nil, err
	}
	n.psks = m.psks
	return &pb.HandleReInitCommitResponse{ReinitId: keep(s, s.endings, &ending{m, n}), KeyPackage: n.kp.Bytes(),
		EpochAuthenticator: m.group.EpochAuthenticator()}, nil
}

func (s *server) ReInitWelcome(_ context.Context, r *pb.ReInitWelcomeRequest) (*pb.CreateSubgroupResponse, error) {
	e, err := find(s.endings, "reinit", r.ReinitId)
	if err != nil {
		return nil, err
	}
	add, err := keyPackages(r.KeyPackage)
	if err != nil {
		return nil, err
	}
	g, c, err := e.group.Reinit(e.psks.config(), e.next.client, mls.CommitOptions{Add: add, WithoutTree: r.ExternalTree})
	if err != nil {
		return nil, err
	}
	delete(s.endings, r.ReinitId)
	return s.begin(&member{g, e.next.client, e.private, e.psks}, c, r.ExternalTree)
}

// begin applies the first commit of a successor.
func (s *server) begin(m *member, c *mls.PendingCommit, externalTree bool) (*pb.CreateSubgroupResponse, error) {
	if _, err := m.group.Apply(c.Staged); err != nil {
		return nil, err
	}
	out := &pb.CreateSubgroupResponse{Welcome: c.Welcome, EpochAuthenticator: m.group.EpochAuthenticator()}
	if externalTree {
		out.RatchetTree = m.group.RatchetTree()
	}
	out.StateId = keep(s, s.members, m)
	return out, nil
}

// succeed lets a member join a successor of its group as n.
func (s *server) succeed(m *member, n *newcomer, welcome, tree []byte) (uint32, *mls.Group, error) {
	g, _, err := m.group.JoinSuccessor(n.psks.config(), n.client, welcome, n.kp, n.secrets, tree)
	if err != nil {
		return 0, nil, err
	}
	return keep(s, s.members, &member{g, n.client, m.private, n.psks}), g, nil
}

func (s *server) HandleReInitWelcome(_ context.Context, r *pb.HandleReInitWelcomeRequest) (*pb.JoinGroupResponse, error) {
	e, err := find(s.endings, "reinit", r.ReinitId)
	if err != nil {
		return nil, err
	}
	id, g, err := s.succeed(e.member, e.next, r.Welcome, r.RatchetTree)
	if err != nil {
		return nil, err
	}
	delete(s.endings, r.ReinitId)
	return &pb.JoinGroupResponse{StateId: id, EpochAuthenticator: g.EpochAuthenticator()}, nil
}

func (s *server) CreateBranch(_ context.Context, r *pb.CreateBranchRequest) (*pb.CreateSubgroupResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	list, err := extensions(r.Extensions)
	if err != nil {
		return nil, err
	}
	add, err := keyPackages(r.KeyPackages)
	if err != nil {
		return nil, err
	}
	c, err := newClient(uint32(m.group.Suite()), m.client.Credential.Identity)
	if err != nil {
		return nil, err
	}
	g, pending, err := m.group.Branch(m.psks.config(), c, r.GroupId, list, mls.CommitOptions{Add: add, WithoutTree: r.ExternalTree})
	if err != nil {
		return nil, err
	}
	return s.begin(&member{g, c, m.private, m.psks}, pending, r.ExternalTree)
}

func (s *server) HandleBranch(_ context.Context, r *pb.HandleBranchRequest) (*pb.HandleBranchResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	n, err := find(s.newcomers, "transaction", r.TransactionId)
	if err != nil {
		return nil, err
	}
	id, g, err := s.succeed(m, n, r.Welcome, r.RatchetTree)
	if err != nil {
		return nil, err
	}
	delete(s.newcomers, r.TransactionId)
	return &pb.HandleBranchResponse{StateId: id, EpochAuthenticator: g.EpochAuthenticator()}, nil
}

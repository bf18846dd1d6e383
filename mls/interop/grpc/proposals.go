package main

import (
	"context"
	"fmt"
	"slices"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

// propose lets a member propose.
func (s *server) propose(id uint32, p mls.Proposal) (*pb.ProposalResponse, error) {
	m, err := s.member(id)
	if err != nil {
		return nil, err
	}
	p.Private = m.private
	msg, _, err := m.group.Propose(p)
	return &pb.ProposalResponse{Proposal: msg}, err
}

// describe reads what a proposal is to say, in the group of that name and members.
func describe(d *pb.ProposalDescription, groupID []byte, leaf func(identity []byte) (mls.LeafIndex, error)) (p mls.Proposal, err error) {
	switch string(d.ProposalType) {
	case "add":
		p.Add, err = mls.ParseKeyPackage(d.KeyPackage)
	case "remove":
		i, lost := leaf(d.RemovedId)
		p.Remove, err = &i, lost
	case "externalPSK":
		p.PSK = &mls.PSK{ID: d.PskId}
	case "resumptionPSK":
		p.PSK = &mls.PSK{GroupID: groupID, Epoch: d.EpochId}
	case "groupContextExtensions":
		p.GroupContextExtensions, err = extensions(d.Extensions)
	case "reinit":
		list, wrong := extensions(d.Extensions)
		p.ReInit, err = &mls.ReInit{GroupID: d.GroupId, Suite: mls.CipherSuite(d.CipherSuite), Extensions: list}, wrong
	default:
		err = fmt.Errorf("proposal type %q", d.ProposalType)
	}
	return p, err
}

func (m *member) describe(d *pb.ProposalDescription) (mls.Proposal, error) {
	return describe(d, m.group.ID(), func(identity []byte) (mls.LeafIndex, error) { return leafOf(m.group.Members(), identity) })
}

// proposeAs lets a member propose what a description says.
func (s *server) proposeAs(id uint32, d *pb.ProposalDescription) (*pb.ProposalResponse, error) {
	m, err := s.member(id)
	if err != nil {
		return nil, err
	}
	p, err := m.describe(d)
	if err != nil {
		return nil, err
	}
	return s.propose(id, p)
}

func (s *server) AddProposal(_ context.Context, r *pb.AddProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("add"), KeyPackage: r.KeyPackage})
}

func (s *server) UpdateProposal(_ context.Context, r *pb.UpdateProposalRequest) (*pb.ProposalResponse, error) {
	return s.propose(r.StateId, mls.Proposal{Update: true})
}

func (s *server) RemoveProposal(_ context.Context, r *pb.RemoveProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("remove"), RemovedId: r.RemovedId})
}

func (s *server) ExternalPSKProposal(_ context.Context, r *pb.ExternalPSKProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("externalPSK"), PskId: r.PskId})
}

func (s *server) ResumptionPSKProposal(_ context.Context, r *pb.ResumptionPSKProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("resumptionPSK"), EpochId: r.EpochId})
}

func (s *server) GroupContextExtensionsProposal(_ context.Context, r *pb.GroupContextExtensionsProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("groupContextExtensions"), Extensions: r.Extensions})
}

func (s *server) ReInitProposal(_ context.Context, r *pb.ReInitProposalRequest) (*pb.ProposalResponse, error) {
	return s.proposeAs(r.StateId, &pb.ProposalDescription{ProposalType: []byte("reinit"),
		GroupId: r.GroupId, CipherSuite: r.CipherSuite, Extensions: r.Extensions})
}

func (s *server) NewMemberAddProposal(_ context.Context, r *pb.NewMemberAddProposalRequest) (*pb.NewMemberAddProposalResponse, error) {
	context, err := contextOf(r.GroupInfo)
	if err != nil {
		return nil, err
	}
	n, err := newNewcomer(uint32(context.Suite), r.Identity)
	if err != nil {
		return nil, err
	}
	out := &pb.NewMemberAddProposalResponse{}
	if out.Proposal, err = n.client.ProposeJoin(*context, n.kp); err != nil {
		return nil, err
	}
	if out.InitPriv, out.EncryptionPriv, out.SignaturePriv, err = n.private(); err != nil {
		return nil, err
	}
	out.TransactionId = keep(s, s.newcomers, n)
	return out, nil
}

func contextOf(groupInfo []byte) (*mls.GroupContext, error) {
	outside, err := mls.Inspect(groupInfo)
	if err != nil {
		return nil, err
	}
	if outside.Context == nil {
		return nil, fmt.Errorf("message of kind %d where a group info belongs", outside.Kind)
	}
	return outside.Context, nil
}

func (s *server) CreateExternalSigner(_ context.Context, r *pb.CreateExternalSignerRequest) (*pb.CreateExternalSignerResponse, error) {
	c, err := newClient(r.CipherSuite, r.Identity)
	if err != nil {
		return nil, err
	}
	list := mls.ExternalSenders([]mls.ExternalSender{{Key: c.Key.Public(), Credential: c.Credential}})
	sender, _, err := cutOpaque(list.Data)
	if err != nil {
		return nil, err
	}
	return &pb.CreateExternalSignerResponse{SignerId: keep(s, s.signers, c), ExternalSender: sender}, nil
}

// AddExternalSigner proposes the group's extensions with one more external sender.
func (s *server) AddExternalSigner(_ context.Context, r *pb.AddExternalSignerRequest) (*pb.ProposalResponse, error) {
	m, err := s.member(r.StateId)
	if err != nil {
		return nil, err
	}
	list, senders := slices.Clone(m.group.Context().Extensions), []byte(nil)
	k := slices.IndexFunc(list, func(e mls.Extension) bool { return e.Type == mls.ExtensionExternalSenders })
	if k < 0 {
		k, list = len(list), append(list, mls.Extension{Type: mls.ExtensionExternalSenders})
	} else if senders, _, err = cutOpaque(list[k].Data); err != nil {
		return nil, err
	}
	list[k].Data = appendOpaque(nil, slices.Concat(senders, r.ExternalSender))
	return s.propose(r.StateId, mls.Proposal{GroupContextExtensions: list})
}

func (s *server) ExternalSignerProposal(_ context.Context, r *pb.ExternalSignerProposalRequest) (*pb.ProposalResponse, error) {
	c, err := find(s.signers, "signer", r.SignerId)
	if err != nil {
		return nil, err
	}
	context, err := contextOf(r.GroupInfo)
	if err != nil {
		return nil, err
	}
	p, err := describe(r.Description, context.GroupID, func(identity []byte) (mls.LeafIndex, error) {
		return leafIn(r.GroupInfo, r.RatchetTree, identity)
	})
	if err != nil {
		return nil, err
	}
	msg, err := c.ProposeExternal(*context, p)
	return &pb.ProposalResponse{Proposal: msg}, err
}

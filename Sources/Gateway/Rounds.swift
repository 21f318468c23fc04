// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule
internal import SocketIOServer

/// Gives events outside the log to crowds, some of the clients each turn: an event for ten thousand is
/// a tenth of a second of sending, for which a message in another room is not to wait. Each client
/// gets what goes by this way in its order; who connects meanwhile starts from a page that has it.
struct Rounds {
    private struct Round {
        let publication: Publication
        let except: UserID?
        var left: ArraySlice<ChatClient>
    }

    /// Clients a turn: at some 7 µs each, a millisecond.
    static let perTurn = 128

    private var rounds = Deque<Round>()

    /// Whether anybody is still to get anything.
    var isEmpty: Bool { rounds.isEmpty }

    /// Begins to give an event to clients. Where they are few they get it now.
    mutating func begin(
        _ publication: Publication, to clients: [ChatClient], except: UserID?
    ) {
        guard clients.count > Rounds.perTurn else {
            for client in clients where client.actor.id != except {
                client.sendIfKeepingUp(publication)
            }
            return
        }
        rounds.append(Round(publication: publication, except: except, left: clients[...]))
    }

    /// Goes on for one turn.
    mutating func goOn() {
        var count = Rounds.perTurn
        while count > 0, let round = rounds.first {
            for client in round.left.prefix(count) where client.actor.id != round.except {
                client.sendIfKeepingUp(round.publication)
            }
            let done = min(count, round.left.count)
            count -= done
            if done == round.left.count {
                rounds.removeFirst()
            } else {
                rounds[0].left = round.left.dropFirst(done)
            }
        }
    }
}

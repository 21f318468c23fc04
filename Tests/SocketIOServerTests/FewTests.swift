// SPDX-License-Identifier: MIT
import TestSupport
import Testing

@testable import SocketIOServer

@Suite struct FewTests {
    /// Against an array, ten thousand random moves.
    @Test func agreesWithAnArray() {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        var few = Few<Int>()
        var model: [Int] = []
        for step in 0..<10_000 {
            let place = model.isEmpty ? 0 : Int.random(in: 0..<model.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where model.count < 4, 1 where model.count < 4:
                few.append(step)
                model.append(step)
            case 2 where !model.isEmpty:
                few[place] = step
                model[place] = step
            case 3 where !model.isEmpty:
                #expect(few.remove(at: place) == model.remove(at: place), "seed \(seed)")
            default: break
            }
            #expect(Array(few) == model, "seed \(seed)")
            #expect(few.isEmpty == model.isEmpty && few.last == model.last, "seed \(seed)")
        }
    }
}

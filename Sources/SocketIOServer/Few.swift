// SPDX-License-Identifier: MIT

/// A list of one element nearly always: that one lies in place, where an array would be an allocation
/// of its own for each of thousands of owners.
package enum Few<Element>: RandomAccessCollection {
    case none
    case one(Element)
    /// Two or more, or what is left of them.
    case several([Element])

    package init() { self = .none }

    package var startIndex: Int { 0 }

    package var endIndex: Int {
        switch self {
        case .none: 0
        case .one: 1
        case .several(let elements): elements.count
        }
    }

    package subscript(index: Int) -> Element {
        get {
            switch self {
            case .none: preconditionFailure("an index into nothing")
            case .one(let element):
                precondition(index == 0)
                return element
            case .several(let elements): return elements[index]
            }
        }
        set {
            switch self {
            case .none: preconditionFailure("an index into nothing")
            case .one:
                precondition(index == 0)
                self = .one(newValue)
            case .several(var elements):
                // Not held twice, or it would be copied.
                self = .none
                elements[index] = newValue
                self = .several(elements)
            }
        }
    }

    package mutating func append(_ element: Element) {
        switch self {
        case .none: self = .one(element)
        case .one(let first): self = .several([first, element])
        case .several(var elements):
            self = .none
            elements.append(element)
            self = .several(elements)
        }
    }

    @discardableResult
    package mutating func remove(at index: Int) -> Element {
        let removed = self[index]
        switch self {
        case .none, .one: self = .none
        case .several(var elements):
            self = .none
            elements.remove(at: index)
            if let last = elements.first, elements.count == 1 {
                self = .one(last)
            } else {
                self = .several(elements)
            }
        }
        return removed
    }
}

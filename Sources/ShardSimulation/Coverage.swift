/// What a simulation has been through: how often each fault happened and each outcome was seen.
public struct Coverage: Hashable, Sendable, CustomStringConvertible {
  public enum Point: Int, CaseIterable, Sendable {
    case episode, crash, crashBetweenEffects, crashAfterCommit, drained, stopped
    case append, oversizedRecord, poisonRecord, trim, split, merge, reshardDuringRetry, wallStepBack
    case readAnswered, readOfOlderSnapshot, readUnavailable, readCorrupted, readCaughtUp, readNothing, readShardEnd,
      repeatedRead
    case delivered, redelivered, succeeded, partial, noProgress, outsideBatch, error, throttled, hung
    case deadline, lateAnswer, repeatedAnswer, succeededAfterCancel
    case progressCommitted, progressRefused, failureCommitted, failureRefused, storeFull, staleStoreAnswer
    case writesKept, writesDiscarded, effectsCommitted
    case namedFailures, doneBehind, keysStored, keysFound
    case toldRetry, toldPartialFailure, toldBisect, toldRestart
    case bisected, exhausted, expired, expiredHeadOnly, skipped, lost, stoppedLoop
    case shadowFailed
    case gaveUp, gaveUpFirst, givenUp, restoredGivenUp, uncounted
    case pause, resume, skip, skipDamage, retry, redrive, redriveSucceeded, redriveFailed
    case policyChanged, closeRequested, closeStopped, mappingClosed, mappingOpened
    case readOnlyParked, readParkingFull, keyDelivered, keysParked, keySkip, keySkipDamage, restoredParked
    case inHoldingForKeys
    case timer, earlyTimer, restoredFailing, finished
    case factorChanged, factorChangedBetweenLanes, factorChangedAgain
    case windowBegun, windowGoneOn, windowEnded, windowEndedEarly, windowEndedInBatch, finalFailed, finalGivenUp
    case boundedRun, boundedRunEnd
    case stateMissing, restoredWindow, restoredFinal
    case inWaitingForParents, inIdle, inWaitingForTurn, inReading, inWindowing, inDelivering, inCancelling
    case inBackingOff, inStoringFailure, inFailureRefused, inHolding, inUnavailable, inPaused, inStopped, inFinished
    case inResting
  }

  private var counts = [UInt64](repeating: 0, count: Point.allCases.count)

  public init() {}

  public subscript(point: Point) -> UInt64 { counts[point.rawValue] }

  mutating func count(_ point: Point) { counts[point.rawValue] &+= 1 }

  /// Points that were never reached.
  public var missing: [Point] { Point.allCases.filter { self[$0] == 0 } }

  public mutating func add(_ other: Coverage) {
    for place in counts.indices { counts[place] &+= other.counts[place] }
  }

  public var description: String {
    Point.allCases.map { "\($0) \(self[$0])" }.joined(separator: "\n")
  }
}
